package pairs

import "encoding/json"

// ExternalAccounts are external_account documents in the form in which gcloud writes them, one for each kind
// of source, by its name. All but "direct", which is a file without a service account, impersonate one.
// https://google.aip.dev/auth/4117
func (w *World) ExternalAccounts() (map[string][]byte, error) {
	const jwt, aws4 = "urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:aws:token-type:aws4_request"
	file := map[string]any{"file": w.file("tokens", "google")}
	documents := map[string][]byte{}
	for name, d := range map[string]struct {
		tokenType, by string
		source        map[string]any
	}{
		"file":   {jwt, "kubernetes", file},
		"direct": {jwt, "kubernetes", file},
		"url": {jwt, "kubernetes", map[string]any{
			"url":     w.o.URL + "/kubernetes/token?audience=" + queryEscape(audiences["google"]),
			"headers": map[string]string{"Authorization": "Bearer " + urlSecret},
			"format":  map[string]string{"type": "json", "subject_token_field_name": "token"},
		}},
		"executable": {jwt, "kubernetes", map[string]any{"executable": map[string]any{
			"command": w.program() + " " + w.file("tokens", "google"), "timeout_millis": 5000,
		}}},
		"aws": {aws4, "amazon", map[string]any{
			"environment_id":                 "aws1",
			"region_url":                     w.o.URL + "/latest/meta-data/placement/availability-zone",
			"url":                            w.o.URL + "/latest/meta-data/iam/security-credentials",
			"imdsv2_session_token_url":       w.o.URL + "/latest/api/token",
			"regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
		}},
	} {
		document := map[string]any{
			"type": "external_account", "audience": provider(d.by), "subject_token_type": d.tokenType,
			"token_url": w.o.URL + "/v1/token", "credential_source": d.source,
		}
		if name != "direct" {
			document["service_account_impersonation_url"] = w.o.URL + "/v1/projects/-/serviceAccounts/" + serviceAccount + ":generateAccessToken"
		}
		text, err := json.Marshal(document)
		if err != nil {
			return nil, err
		}
		documents[name] = text
	}
	return documents, nil
}
