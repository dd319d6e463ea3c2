package cloudtest

import (
	"net/http"
	"slices"
)

// A Project can be billed for requests.
type Project struct {
	ID     string
	Number string
	// Consumers have roles/serviceusage.serviceUsageConsumer, so that they may name the project. They are
	// written like [ServiceAccount.Impersonators].
	Consumers []string
}

// PutProject adds or replaces the project of its id. From then on, all others are denied.
func (g *Google) PutProject(p Project) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.projects == nil {
		g.projects = make(map[string]Project)
	}
	g.projects[p.ID] = p
}

// BilledTo returns the project that the last request of an operation, of those that were not refused
// over it, named: the userProject of a token exchange, X-Goog-User-Project of an impersonation; ""
// if it named none.
func (g *Google) BilledTo(operation string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.billed[operation]
}

// bill has a request paid for by the project that it names, if any, or answers it.
// https://cloud.google.com/docs/quotas/quota-project
func (g *Google) bill(w http.ResponseWriter, caller grant, operation, project string) bool {
	if !g.charge(caller, operation, project) {
		writeUserProjectDenied(w, project)
		return false
	}
	return true
}

// charge reports whether the caller may name the project, and remembers it then.
func (g *Google) charge(caller grant, operation, project string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if project != "" && g.projects != nil {
		p, ok := g.project(project)
		if !ok || !slices.ContainsFunc(p.Consumers, caller.member) {
			return false
		}
	}
	g.billed[operation] = project
	return true
}

// project finds one by its id or its number. It is called with g.mu held.
func (g *Google) project(name string) (Project, bool) {
	for _, p := range g.projects {
		if p.ID == name || p.Number == name {
			return p, true
		}
	}
	return Project{}, false
}

// writeUserProjectDenied answers alike for a project that does not exist.
func writeUserProjectDenied(w http.ResponseWriter, project string) {
	refusal := googleError{
		Code:   http.StatusForbidden,
		Status: "PERMISSION_DENIED",
		Message: "Caller does not have required permission to use project " + project +
			". Grant the caller the roles/serviceusage.serviceUsageConsumer role, or a custom role with the serviceusage.services.use permission, by visiting https://console.developers.google.com/iam-admin/iam/project?project=" + project +
			" and then retry. Propagation of the new permission may take a few minutes.",
		Details: []googleErrorInfo{{
			Type:     "type.googleapis.com/google.rpc.ErrorInfo",
			Reason:   "USER_PROJECT_DENIED",
			Domain:   "googleapis.com",
			Metadata: map[string]string{"consumer": "projects/" + project},
		}},
	}
	writeJSON(w, googleJSON, refusal.Code, map[string]googleError{"error": refusal})
}
