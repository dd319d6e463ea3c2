package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is sent to the kernel, byte by byte. (struct ifaddrmsg and the like are in rtnetlink(7).)
func TestNetlinkMessages(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the bytes are those of a little-endian machine")
	}
	if got, want := hex.EncodeToString(newAddress(1, [4]byte{169, 254, 170, 2})), ""+
		"28000000"+"1400"+"0506"+"00000000"+"00000000"+ // 40 bytes, RTM_NEWADDR, request, ack, excl, create
		"02"+"20"+"00"+"fe"+"01000000"+ // AF_INET, /32, scope host, interface 1
		"0800"+"0200"+"a9feaa02"+ // IFA_LOCAL
		"0800"+"0100"+"a9feaa02"; got != want { // IFA_ADDRESS
		t.Errorf("newAddress = %s, want %s", got, want)
	}
	if got, want := hex.EncodeToString(linkUp(1)), ""+
		"20000000"+"1000"+"0500"+"00000000"+"00000000"+ // 32 bytes, RTM_NEWLINK, request, ack
		"00"+"00"+"0000"+"01000000"+"01000000"+"01000000"; got != want { // interface 1, up
		t.Errorf("linkUp = %s, want %s", got, want)
	}
}

func TestNetlinkVerdict(t *testing.T) {
	answer := func(kind uint16, errno syscall.Errno) []byte {
		return netlinkRequest(kind, 0, binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno))))
	}
	for _, test := range []struct {
		name   string
		answer []byte
		is     error
		text   string
	}{
		{"done", answer(syscall.NLMSG_ERROR, 0), nil, ""},
		{"it is there", answer(syscall.NLMSG_ERROR, syscall.EEXIST), syscall.EEXIST, "file exists"},
		{"no privilege", answer(syscall.NLMSG_ERROR, syscall.EPERM), syscall.EPERM, "operation not permitted: this needs the capability NET_ADMIN"},
		{"another message", answer(syscall.NLMSG_DONE, 0), nil, "the kernel's answer makes no sense"},
		{"half a message", answer(syscall.NLMSG_ERROR, 0)[:19], nil, "the kernel's answer makes no sense"},
		{"none", nil, nil, "the kernel's answer makes no sense"},
	} {
		err := verdict(test.answer)
		if text := fmt.Sprint(err); test.text != "" && text != test.text || test.text == "" && err != nil {
			t.Errorf("%s: verdict = %v, want %q", test.name, err, test.text)
		}
		if test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: verdict = %v, want %v", test.name, err, test.is)
		}
	}
}

// A Pod in link-local mode: its network is a namespace, its init container is wisp link-local, its sidecar a
// wisp without privileges, and its application knows the clouds' own addresses and nothing else. Another Pod
// has a route here, and gets nothing.
func TestLinkLocal(t *testing.T) {
	const role = "WISP_TEST_ROLE"
	switch os.Getenv(role) {
	case "pod":
		linkLocalPod(t, role+"=stranger")
		return
	case "stranger":
		linkLocalStranger(t)
		return
	}
	forbidden := t.Skipf
	if os.Getenv("CI") == "true" {
		forbidden = t.Fatalf
	}
	// Whoever may do none of this by themselves, as many systems have it, need not look further.
	probe := exec.Command("unshare", "-Urn", "sh", "-c", "echo 80 >/proc/sys/net/ipv4/ip_unprivileged_port_start && ip link add wisp0 type veth peer name wisp1 && unshare -U true")
	if out, err := probe.CombinedOutput(); err != nil {
		forbidden("no network namespaces: %v\n%s", err, out)
	}
	child := testItself(t, role+"=pod")
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// testItself is this test in another process.
func testItself(t *testing.T, variables ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(program, "-test.v", "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), variables...)
	return child
}

// Between two Pods.
const (
	podAddress      = "10.99.0.1"
	strangerAddress = "10.99.0.2"
)

func linkLocalPod(t *testing.T, stranger string) {
	dir := t.TempDir()
	if err := projectTokens(filepath.Join(dir, "tokens")); err != nil {
		t.Fatal(err)
	}
	ip(t, "link", "add", "wisp0", "type", "veth", "peer", "name", "wisp1")
	ip(t, "link", "set", "wisp0", "up")
	ip(t, "addr", "add", podAddress+"/24", "dev", "wisp0")

	// The sidecar cannot do without its init container, nor without the sysctl. Nothing else is needed.
	variables := append(variablesOfClouds(dir),
		"WISP_LINK_LOCAL=true", "WISP_POD_IP="+podAddress, "WISP_HEALTH_PORT=9910", "WISP_SHARED="+filepath.Join(dir, "run"), "IDENTITY_HEADER=0123456789abcdef0123456789abcdef")
	ip(t, "link", "set", "lo", "up") // as it is in every Pod
	cannot(t, variables, "listen on 169.254.169.254:80: the loopback interface does not have the address 169.254.169.254: let an init container run wisp link-local first")

	ip(t, "link", "set", "lo", "down")
	for range 2 { // as after a restart of the Pod's sandbox
		if out, err := exec.Command("wisp", "link-local").CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("wisp link-local: %v\n%s", err, out)
		}
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := lo.Addrs()
	if got := fmt.Sprint(addresses); lo.Flags&net.FlagUp == 0 || err != nil || !strings.Contains(got, "169.254.169.254/32 169.254.170.2/32") || strings.Count(got, "169.254.") != 2 {
		t.Fatalf("lo is %v and has %v, %v", lo.Flags, got, err)
	}
	cannot(t, variables, "listen on 169.254.169.254:80: bind: permission denied")
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("80\n"), 0); err != nil {
		t.Fatal(err)
	}

	proxy := proxyToClouds(t, filepath.Join(dir, "ca.pem"))
	sidecar := unprivileged(append(variables, "HTTPS_PROXY="+proxy, "AWS_CA_BUNDLE="+filepath.Join(dir, "ca.pem")))
	var log bytes.Buffer
	sidecar.Stderr = &log
	if err := sidecar.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = sidecar.Process.Signal(syscall.SIGTERM)
		if err := sidecar.Wait(); err != nil {
			t.Errorf("wisp run: %v", err)
		}
		if t.Failed() {
			t.Logf("%s", &log)
		}
	}()
	waitFor(t, "http://"+podAddress+":9910/readyz")

	const session = "X-aws-ec2-metadata-token"
	token := applicationAsks(t, http.MethodPut, "http://169.254.169.254/latest/api/token", session+"-ttl-seconds: 300")
	for _, test := range []struct {
		url    string
		fields []string
		want   string
	}{
		{"http://169.254.169.254/latest/meta-data/iam/security-credentials/", []string{session + ": " + token}, "reports"},
		{"http://169.254.169.254/latest/meta-data/iam/security-credentials/reports", []string{session + ": " + token}, `"AccessKeyId":"ASIA`},
		{"http://169.254.169.254:80/latest/meta-data/placement/region", []string{session + ": " + token}, "eu-west-1"},
		{"http://169.254.170.2/aws/aws", nil, `"AccessKeyId":"ASIA`},
		{"http://169.254.170.2:80/aws/aws", nil, `"AccessKeyId":"ASIA`},
		{"http://169.254.169.254/", nil, "computeMetadata/\n"},
		{"http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token", []string{"Metadata-Flavor: Google"}, `"access_token":"ya29.`},
		{"http://169.254.169.254/computeMetadata/v1/project/project-id", []string{"Metadata-Flavor: Google", "Host: metadata.google.internal"}, "shop-prod"},
		{"http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/", []string{"Metadata: true"}, `"access_token":"eyJ`},
	} {
		if got := applicationAsks(t, http.MethodGet, test.url, test.fields...); !strings.Contains(got, test.want) {
			t.Errorf("GET %s = %.200q, want something with %q", test.url, got, test.want)
		}
	}

	other := testItself(t, stranger)
	other.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	var told bytes.Buffer
	other.Stdout, other.Stderr = &told, &told
	begin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	ip(t, "link", "set", "wisp1", "netns", fmt.Sprint(other.Process.Pid))
	_ = begin.Close()
	if err := other.Wait(); err != nil || !strings.Contains(told.String(), "--- PASS: "+t.Name()) {
		t.Errorf("a stranger: %v", err)
	}
	t.Logf("%s", &told)
}

// linkLocalStranger is on the same link as the Pod, and sends to it what it wants.
func linkLocalStranger(t *testing.T) {
	_, _ = io.Copy(io.Discard, os.Stdin) // until the interface is here
	ip(t, "addr", "add", strangerAddress+"/24", "dev", "wisp1")
	ip(t, "link", "set", "wisp1", "up")
	waitFor(t, "http://"+podAddress+":9910/readyz") // the Pod can be reached, and may be asked for that
	for _, address := range []string{"169.254.169.254:80", "169.254.170.2:80", "127.0.0.1:9911"} {
		host, _, _ := net.SplitHostPort(address)
		if host != "127.0.0.1" { // which no route leads elsewhere
			ip(t, "route", "add", host+"/32", "via", podAddress)
		} else {
			address = podAddress + ":9911"
		}
		conn, err := net.DialTimeout("tcp", address, 3*time.Second)
		if err != nil {
			t.Logf("%s: %v", address, err)
			continue
		}
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = fmt.Fprintf(conn, "GET /aws/aws HTTP/1.1\r\nHost: %s\r\n\r\n", host)
		got, err := io.ReadAll(conn)
		if len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s answers a stranger: %q, %v", address, got, err)
		}
		t.Logf("%s: the connection was closed: %v", address, err)
		_ = conn.Close()
	}
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// unprivileged is a wisp run of another user, who has no privileges in this network: they would come from the user
// namespace that it belongs to.
func unprivileged(variables []string) *exec.Cmd {
	child := exec.Command("wisp", "run")
	child.Env = append(variables, "PATH="+os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0")
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 65532, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 65532, HostID: 0, Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	return child
}

// cannot insists on what a wisp run ends with that cannot listen.
func cannot(t *testing.T, variables []string, want string) {
	t.Helper()
	out, err := unprivileged(variables).CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != exitBind || !strings.HasSuffix(string(out), want+"\n") {
		t.Fatalf("wisp run: %v, want exit code %d and %q\n%s", err, exitBind, want, out)
	}
}

// waitFor asks until the answer is good.
func waitFor(t *testing.T, url string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		status, body, err := fetch(url, nil)
		if err == nil && status == http.StatusOK {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("GET %s: %d %s %v", url, status, body, err)
		}
	}
}

// applicationAsks sends a request as an application does, which asks again as long as nobody answers or there is no credential yet, and
// returns the body of a good answer.
func applicationAsks(t *testing.T, method, url string, fields ...string) string {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		status, body, err := ask(method, url, fields)
		if err == nil && status == http.StatusOK {
			return body
		}
		if err == nil && status != http.StatusServiceUnavailable {
			t.Errorf("%s %s: %d %s", method, url, status, body)
			return body
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s %s: %d %s %v", method, url, status, body, err)
		}
	}
}
