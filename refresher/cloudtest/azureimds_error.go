package cloudtest

import "net/http"

const azureJSON = "application/json; charset=utf-8"

// azureVersions are those of the metadata service that know managed identities, oldest first.
var azureVersions = []string{
	"2018-02-01", "2018-04-02", "2018-10-01", "2019-02-01", "2019-03-11", "2019-04-30", "2019-06-01",
	"2019-06-04", "2019-08-01", "2019-08-15", "2019-11-01", "2020-06-01", "2020-07-15", "2020-09-01",
	"2020-10-01", "2020-12-01", "2021-01-01", "2021-02-01", "2021-03-01", "2021-05-01", "2021-10-01",
	"2021-11-01", "2021-11-15", "2021-12-13", "2023-07-01", "2023-11-15",
}

// An azureError is a refusal of the metadata service.
type azureError struct {
	Code        string   `json:"error"`
	Description string   `json:"error_description,omitempty"`
	Newest      []string `json:"newest-versions,omitempty"`

	status int
}

func azureRefusal(code, description string) *azureError {
	return &azureError{status: http.StatusBadRequest, Code: code, Description: description}
}

// azureVersionRefusal has another shape than the rest: the service itself answers, not its identity
// part.
func azureVersionRefusal(why string) *azureError {
	return &azureError{
		status: http.StatusBadRequest,
		Code:   "Bad request. api-version " + why + " in the request. For more information refer to aka.ms/azureimds",
		Newest: []string{"2023-11-15", "2023-07-01", "2021-12-13"},
	}
}

func writeAzureError(w http.ResponseWriter, e *azureError) {
	if e.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodGet)
	}
	writeJSON(w, azureJSON, e.status, e)
}

// azureWording is how the service says that it is asked too often: 20 identity requests per second are
// its limit.
var azureWording = wording{
	throttled: func(w http.ResponseWriter) {
		writeAzureError(w, &azureError{
			status: http.StatusTooManyRequests, Code: "too_many_requests",
			Description: "Temporarily throttled, too many requests",
		})
	},
	contentType: azureJSON,
	malformed:   `{"access_token":"eyJ`,
}
