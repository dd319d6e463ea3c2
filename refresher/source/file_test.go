package source_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

var (
	_ refresher.Source   = (*source.File)(nil)
	_ refresher.Notifier = (*source.File)(nil)
	_ refresher.Runner   = (*source.File)(nil)
)

func TestNewFileRefuses(t *testing.T) {
	for _, test := range []struct {
		name    string
		options source.FileOptions
		want    []string
	}{
		{"no path", source.FileOptions{}, []string{"path is missing"}},
		{"a directory", source.FileOptions{Path: "/var/run/"}, []string{"path /var/run/ is a directory"}},
		{"a NUL", source.FileOptions{Path: "/a\x00b"}, []string{"NUL"}},
		{"a type that files do not hold", source.FileOptions{Path: "/a", Type: refresher.TypeAWSRequest}, []string{"aws4_request"}},
		{"all problems at once", source.FileOptions{Type: "jwt"}, []string{`"jwt"`, "path is missing"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := source.NewFile(test.options)
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("NewFile(%+v): error %v, want one with %q", test.options, err, want)
				}
			}
		})
	}
}

func TestTokenOfAFile(t *testing.T) {
	good := jwt(claims{"iat": 1000, "exp": 4600})
	saml := `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol">?~</samlp:Response>`
	samlOf := base64.StdEncoding.EncodeToString
	for _, test := range []struct {
		name    string
		content string
		format  source.Format
		kind    string
		want    refresher.Token
	}{
		{
			"the token and nothing else", good, source.Format{}, "",
			refresher.Token{Raw: refresher.Secret(good), Type: refresher.TypeJWT, Issued: time.Unix(1000, 0), Expires: time.Unix(4600, 0)},
		},
		{
			"white space around it", " \t\r\n" + good + "\v\f\r\n\n", source.Format{}, refresher.TypeIDToken,
			refresher.Token{Raw: refresher.Secret(good), Type: refresher.TypeIDToken, Issued: time.Unix(1000, 0), Expires: time.Unix(4600, 0)},
		},
		{
			"in a JSON object", `{"Access_Token":"no","expires_in":1,"access_token":"` + good + `\n"}`, source.Format{JSONField: "access_token"}, "",
			refresher.Token{Raw: refresher.Secret(good), Type: refresher.TypeJWT, Issued: time.Unix(1000, 0), Expires: time.Unix(4600, 0)},
		},
		{
			"a SAML assertion", samlOf([]byte(saml)) + "\n", source.Format{}, refresher.TypeSAML2,
			refresher.Token{Raw: refresher.Secret(samlOf([]byte(saml))), Type: refresher.TypeSAML2},
		},
		{
			"a SAML assertion in base64url without padding", segment([]byte(saml + " ")), source.Format{}, refresher.TypeSAML2,
			refresher.Token{Raw: refresher.Secret(segment([]byte(saml + " "))), Type: refresher.TypeSAML2},
		},
		{
			"64 KiB, white space included", good + strings.Repeat("\n", 64<<10-len(good)), source.Format{}, "",
			refresher.Token{Raw: refresher.Secret(good), Type: refresher.TypeJWT, Issued: time.Unix(1000, 0), Expires: time.Unix(4600, 0)},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token")
			write(t, path, test.content)
			f := newFile(t, source.FileOptions{Path: path, Format: test.format, Type: test.kind})
			got, err := f.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("Token = %v, want %v", got, test.want)
				t.Errorf("raw is right: %v", got.Raw == test.want.Raw)
			}
			if fired(f) {
				t.Error("Changed fired for the first token, which Token gave")
			}
		})
	}
}

// badContents are files that hold no JWT.
func badContents(good string) map[string]string {
	utf16 := "\xff\xfe"
	for _, c := range []byte(good) {
		utf16 += string([]byte{c, 0})
	}
	header := segment([]byte(`{"alg":"RS256"}`))
	with := func(payload string) string { return header + "." + segment([]byte(payload)) + ".c2ln" }
	return map[string]string{
		"empty":                               "",
		"white space":                         " \t\r\n\v\f",
		"64 KiB and one byte":                 good + strings.Repeat("\n", 64<<10+1-len(good)),
		"binary":                              "\x7fELF\x02\x01\x01\x00\x00\x00",
		"a UTF-8 byte order mark":             "\xef\xbb\xbf" + good,
		"a UTF-8 byte order mark after space": "\n\xef\xbb\xbf" + good,
		"UTF-16, little endian":               utf16,
		"UTF-16 without a mark":               utf16[2:],
		"UTF-16, big endian":                  "\xfe\xff\x00e\x00y",
		"a time stamp behind the token":       good + " 11:11:49.123 EOF",
		"another line behind the token":       good + "\nEOF",
		"the token twice":                     good + "\n" + good,
		"2 segments":                          good[:strings.LastIndexByte(good, '.')],
		"4 segments":                          good + ".c2ln",
		"bad base64":                          strings.Replace(good, ".", "!.", 1),
		"padded base64":                       strings.Replace(with(`{"exp":1}`), ".", "=.", 1),
		"claims are an array":                 with(`[{"exp":1}]`),
		"exp is a string":                     with(`{"exp":"1"}`),
		"exp is negative":                     with(`{"exp":-1}`),
		"exp is 1e300":                        with(`{"exp":1e300}`),
		"exp is missing":                      with(`{}`),
		"alg is none":                         segment([]byte(`{"alg":"none"}`)) + "." + segment([]byte(`{"exp":1}`)) + ".",
		"10,000 deep":                         with(strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001)),
		"JSON instead of a token":             `{"access_token":"` + good + `"}`,
		"quoted":                              `"` + good + `"`,
	}
}

func TestBadContentIsRefusedAndKeepsTheLastGoodToken(t *testing.T) {
	good := hourToken(1)
	for name, content := range badContents(good) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token")
			f := newFile(t, source.FileOptions{Path: path})
			write(t, path, content)
			e := mustFail(t, f)
			if e.Code != refresher.CodeSubjectInvalid || e.Hint == "" {
				t.Errorf("Token: code %q, hint %q, want %q and some hint", e.Code, e.Hint, refresher.CodeSubjectInvalid)
			}
			for i := 0; i+8 <= len(content); i++ {
				if piece := content[i : i+8]; strings.TrimSpace(piece) == piece && strings.Contains(e.Error()+e.Hint, piece) {
					t.Fatalf("error %q shows %q of the file", e, piece)
				}
			}

			write(t, path, good)
			if got := mustToken(t, f); got != good {
				t.Fatal("the good token was not read")
			}
			if !fired(f) {
				t.Error("Changed did not fire for the first good token after a bad one")
			}
			write(t, path, content)
			if got := mustToken(t, f); got != good {
				t.Error("the last good token was not kept")
			}
			if fired(f) {
				t.Error("Changed fired for bad content")
			}
		})
	}
}

func TestBadFormatIsRefused(t *testing.T) {
	good := hourToken(1)
	for _, test := range []struct {
		name    string
		options source.FileOptions
		content string
	}{
		{"no JSON", source.FileOptions{Format: source.Format{JSONField: "t"}}, good},
		{"a JSON array", source.FileOptions{Format: source.Format{JSONField: "t"}}, `["t"]`},
		{"no such member", source.FileOptions{Format: source.Format{JSONField: "t"}}, `{"T":"` + good + `"}`},
		{"the member is no string", source.FileOptions{Format: source.Format{JSONField: "t"}}, `{"t":{"t":1}}`},
		{"the member is null", source.FileOptions{Format: source.Format{JSONField: "t"}}, `{"t":null}`},
		{"deep JSON", source.FileOptions{Format: source.Format{JSONField: "t"}}, `{"t":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + `}`},
		{"SAML: no base64", source.FileOptions{Type: refresher.TypeSAML2}, "<saml:Assertion/>"},
		{"SAML: two lines", source.FileOptions{Type: refresher.TypeSAML2}, segment([]byte("<a>")) + "\n" + segment([]byte("</a>"))},
		{"SAML: cut off", source.FileOptions{Type: refresher.TypeSAML2}, segment([]byte("<a>12345</a"))},
		{"SAML: no XML", source.FileOptions{Type: refresher.TypeSAML2}, segment([]byte("assertion"))},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.Path = filepath.Join(t.TempDir(), "token")
			write(t, test.options.Path, test.content)
			if e := mustFail(t, newFile(t, test.options)); e.Code != refresher.CodeSubjectInvalid {
				t.Errorf("Token: code %q, want %q", e.Code, refresher.CodeSubjectInvalid)
			}
		})
	}
}

func TestLastGoodTokenIsUsedUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "token")
		good := hourToken(1)
		write(t, path, good)
		f := newFile(t, source.FileOptions{Path: path})
		if got := mustToken(t, f); got != good {
			t.Fatal("the good token was not read")
		}
		remove(t, path)
		time.Sleep(time.Hour - time.Second)
		if got := mustToken(t, f); got != good {
			t.Error("one second before its end the last good token was not used")
		}
		time.Sleep(time.Second)
		if e := mustFail(t, f); e.Code != refresher.CodeSubjectMissing {
			t.Errorf("at its end: code %q, want %q", e.Code, refresher.CodeSubjectMissing)
		}
		write(t, path, "x")
		if e := mustFail(t, f); e.Code != refresher.CodeSubjectInvalid {
			t.Errorf("bad content after its end: code %q, want %q", e.Code, refresher.CodeSubjectInvalid)
		}
		write(t, path, good)
		if got := mustToken(t, f); got != good {
			t.Error("an expired token in the file was not returned: that is for the engine to judge")
		}
	})
}

func TestTokenThatLacksTheEndOfItsSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "token")
		f := newFile(t, source.FileOptions{Path: path})
		first, second := hourToken(1), hourToken(2)
		write(t, path, first)
		mustToken(t, f)

		short := second[:len(second)-22] // 320 characters of signature: whole bytes again
		write(t, path, short)
		if got := mustToken(t, f); got != first {
			t.Error("half a signature was taken for a token")
		}
		write(t, path, second)
		if got := mustToken(t, f); got != second {
			t.Error("the whole token was not taken")
		}
		// Nothing is refused for good on such evidence.
		write(t, path, short)
		time.Sleep(time.Hour)
		if got := mustToken(t, f); got != short {
			t.Error("the shorter signature is still refused when the last token has expired")
		}
	})
}

func TestChangedFiresForNewTokensOnly(t *testing.T) {
	v := newVolume(t)
	f := newFile(t, source.FileOptions{Path: v.path(), Format: source.Format{JSONField: "t"}})
	content := func(token string, extra int) string { return fmt.Sprintf(`{"t":%q,"n":%d}`, token, extra) }
	first, second := hourToken(1), hourToken(2)
	for _, step := range []struct {
		name string
		text string
		want bool
	}{
		{"the first token", content(first, 0), false},
		{"the same bytes in another file", content(first, 0), false},
		{"the same token in other bytes", content(first, 1), false},
		{"bad content", "x", false},
		{"the same token after bad content", content(first, 1), false},
		{"another token", content(second, 1), true},
		{"the first one again", content(first, 1), true},
	} {
		v.swap(step.text)
		mustToken(t, f)
		if got := fired(f); got != step.want {
			t.Errorf("%s: Changed fired: %v, want %v", step.name, got, step.want)
		}
	}
	// Level-triggered: many changes, one value.
	for n := range 5 {
		v.swap(content(hourToken(10+n), 0))
		mustToken(t, f)
	}
	if !fired(f) || fired(f) {
		t.Error("Changed after five changes has not exactly one value")
	}
}

func TestFileDoesNotPrintItsToken(t *testing.T) {
	v := newVolume(t)
	token := hourToken(1)
	v.swap(token)
	f := newFile(t, source.FileOptions{Path: v.path()})
	mustToken(t, f)
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v", f, f, f)
	if strings.Contains(out.String(), token[:16]) {
		t.Error("printing a File shows its token")
	}
}

func TestReadsLeaveNoFileDescriptors(t *testing.T) {
	v := newVolume(t)
	f := newFile(t, source.FileOptions{Path: v.path()})
	rotate := func(times int) int {
		for n := range times {
			v.swap(hourToken(n))
			mustToken(t, f)
			if n%3 == 0 {
				remove(t, v.path())
				mustToken(t, f)
				if err := os.Symlink("..data/token", v.path()); err != nil {
					t.Fatal(err)
				}
			}
		}
		return openFiles(t)
	}
	before := rotate(10)
	if after := rotate(1000); after > before {
		t.Errorf("%d open files after 1000 rotations, %d after 10", after, before)
	}
}

// openFiles counts this process's file descriptors.
func openFiles(t testing.TB) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("file descriptors are counted on Linux only")
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
