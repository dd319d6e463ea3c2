package agent

import "testing"

// The audience that a token should have, and that sources which can choose ask for: each cloud's usual
// one, until the document names another.
func TestAudiences(t *testing.T) {
	for _, test := range []struct {
		name       string
		exchange   exchangeOptions
		configured string // of the source
		want       string
	}{
		{"AWS", &awsExchange{}, "", "sts.amazonaws.com"},
		{"AWS, another", &awsExchange{Audience: "sts.example"}, "", "sts.example"},
		{"Entra", &entraExchange{}, "", "api://AzureADTokenExchange"},
		{"Entra of the US government", &entraExchange{AuthorityHost: "https://login.microsoftonline.us/"}, "", "api://AzureADTokenExchangeUSGov"},
		{"Entra in China", &entraExchange{AuthorityHost: "login.partner.microsoftonline.cn"}, "", "api://AzureADTokenExchangeChina"},
		{"Entra, another", &entraExchange{AuthorityHost: "https://login.sovcloud-identity.fr", Audience: "api://AzureADTokenExchangeFrance"}, "", "api://AzureADTokenExchangeFrance"},
		{"Google", &googleExchange{Audience: "//iam.googleapis.com/p"}, "", "https://iam.googleapis.com/p"},
		{"a service that nobody knows", &oauthExchange{}, "", ""},
		{"the source's own", &entraExchange{Audience: "api://a"}, "api://b", "api://b"},
	} {
		if got := audienceFor(test.configured, test.exchange); got != test.want {
			t.Errorf("%s: audience = %q, want %q", test.name, got, test.want)
		}
	}
}
