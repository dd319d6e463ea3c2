package upstream

import (
	"strings"
	"testing"
)

// Whatever a name resolves to, nothing outside of machine and link is connected to.
func TestNearbyTransportDialsNothingElse(t *testing.T) {
	dial := nearbyTransport().DialContext
	for _, address := range []string{"192.0.2.1:80", "[2001:db8::1]:80"} {
		conn, err := dial(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "neither of this machine nor of its link") {
			t.Errorf("dial %s = %v, want a refusal before connecting", address, err)
		}
	}
}
