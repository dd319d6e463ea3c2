package endpoints_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
)

// The test machine's loopback interface has none of these, or it would be one whose metadata service wisp
// has taken the place of.
func TestListenAtAnAddressThatTheLoopbackInterfaceLacks(t *testing.T) {
	for _, ip := range []string{"169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"} {
		l, err := endpoints.Listen(t.Context(), netip.AddrPortFrom(netip.MustParseAddr(ip), 0))
		if err == nil {
			_ = l.Close()
			t.Errorf("Listen at %s succeeded", ip)
			continue
		}
		if !strings.Contains(err.Error(), ip) || !strings.Contains(err.Error(), "wisp link-local") && !strings.Contains(err.Error(), "which the loopback interface alone may have") {
			t.Errorf("Listen at %s = %v, want the address and what to do", ip, err)
		}
	}
}

func TestOnLoopback(t *testing.T) {
	for _, test := range []struct {
		ip   string
		want bool
	}{
		{"127.0.0.1", true},
		{"127.0.0.2", false}, // it is answered there, but not assigned
		{"192.0.2.1", false},
		{"2001:db8::1", false},
	} {
		if got, err := endpoints.OnLoopback(netip.MustParseAddr(test.ip)); got != test.want || err != nil {
			t.Errorf("OnLoopback(%s) = %v, %v, want %v", test.ip, got, err, test.want)
		}
	}
}

// What another interface has, the machine's own address say, is where neighbours ask.
func TestOnLoopbackElsewhere(t *testing.T) {
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		addresses, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		if i.Flags&net.FlagLoopback != 0 || len(addresses) == 0 {
			continue
		}
		ip := netip.MustParsePrefix(addresses[0].String()).Addr()
		if on, err := endpoints.OnLoopback(ip); on || err == nil || !strings.Contains(err.Error(), i.Name) {
			t.Errorf("OnLoopback(%s) = %v, %v, want an error that names %s", ip, on, err, i.Name)
		}
		return
	}
	t.Skip("this machine has the loopback interface alone; the tests of wisp link-local have another one")
}

// At the port of HTTP clients leave it out of Host, or not.
func TestGateAtALinkLocalAddress(t *testing.T) {
	server, err := endpoints.NewServer(endpoints.ServerOptions{Protocols: []*endpoints.Protocol{{
		Name:   "vault",
		Hosts:  []string{"169.254.169.254", "vault.internal"},
		Routes: endpoints.Routes{"/": {Methods: endpoints.Read, Handler: func(http.ResponseWriter, *http.Request) *endpoints.Refusal { return nil }}},
		Refuse: func(w http.ResponseWriter, _ *http.Request, r *endpoints.Refusal) { w.WriteHeader(r.Reason.Status()) },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		local, host string
		want        int
	}{
		{"169.254.169.254:80", "169.254.169.254", 200},
		{"169.254.169.254:80", "169.254.169.254:80", 200},
		{"169.254.169.254:80", "vault.internal", 200},
		{"169.254.169.254:80", "vault.internal:80", 200},
		{"169.254.169.254:80", "169.254.169.254:8080", 403},
		{"169.254.169.254:80", "169.254.170.2", 403},
		{"169.254.169.254:80", "127.0.0.1", 403},
		{"169.254.170.23:80", "169.254.170.23", 200},
		{"169.254.170.23:80", "169.254.170.23:80", 200},
		{"[fd00:ec2::23]:80", "[fd00:ec2::23]", 200},
		{"[fd00:ec2::23]:80", "[fd00:ec2::23]:80", 200},
		{"[fd00:ec2::23]:80", "[fd00:ec2::24]", 403},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		local := net.Addr(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(test.local)))
		r = r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, local))
		r.Host = test.host
		recorder := httptest.NewRecorder()
		server.ServeHTTP(recorder, r)
		if recorder.Code != test.want {
			t.Errorf("Host %s at %s = %d, want %d", test.host, test.local, recorder.Code, test.want)
		}
	}
}
