package file_test

import (
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/endpoints/file"
	"github.com/wisp-sidecar/wisp/refresher"
)

func TestCheck(t *testing.T) {
	const (
		badPath = `must be plain: no "..", ".", doubled or final slash`
		badMode = "must be between 0400 and 0644, without execute permission"
	)
	for _, test := range []struct {
		name    string
		options file.Options
		want    []refresher.FieldError
	}{
		{"a path is enough", file.Options{Path: "/run/wisp/token"}, nil},
		{"a name with spaces and dots", file.Options{Path: "/run/my files/..token"}, nil},
		{"everything set", file.Options{Path: "/a", Mode: 0o640, Group: new(1000), Cleanup: file.CleanupNever}, nil},
		{"no path", file.Options{}, []refresher.FieldError{{Field: "path", Problem: "is missing"}}},
		{"a relative path", file.Options{Path: "token"}, []refresher.FieldError{{Field: "path", Problem: "must be absolute"}}},
		{"a path that climbs", file.Options{Path: "../x"}, []refresher.FieldError{{Field: "path", Problem: "must be absolute"}}},
		{"a path that climbs inside", file.Options{Path: "/run/wisp/../../etc/passwd"}, []refresher.FieldError{{Field: "path", Problem: badPath}}},
		{"a final slash", file.Options{Path: "/run/wisp/"}, []refresher.FieldError{{Field: "path", Problem: badPath}}},
		{"the root directory", file.Options{Path: "/"}, []refresher.FieldError{{Field: "path", Problem: "names no file"}}},
		{"a NUL in the path", file.Options{Path: "/run/a\x00b"}, []refresher.FieldError{{Field: "path", Problem: "has a control character"}}},
		{"writable for the group", file.Options{Path: "/a", Mode: 0o660}, []refresher.FieldError{{Field: "mode", Problem: badMode}}},
		{"executable", file.Options{Path: "/a", Mode: 0o700}, []refresher.FieldError{{Field: "mode", Problem: badMode}}},
		{"unreadable for the owner", file.Options{Path: "/a", Mode: 0o040}, []refresher.FieldError{{Field: "mode", Problem: badMode}}},
		{"set-user-ID", file.Options{Path: "/a", Mode: 0o600 | fs.ModeSetuid}, []refresher.FieldError{{Field: "mode", Problem: badMode}}},
		{"a group that cannot read", file.Options{Path: "/a", Group: new(1000)}, []refresher.FieldError{{Field: "group", Problem: "has no effect unless mode lets the group read, as 0640 does"}}},
		{"a negative group", file.Options{Path: "/a", Mode: 0o640, Group: new(-1)}, []refresher.FieldError{{Field: "group", Problem: "must be the number of a group"}}},
		{"an unknown cleanup", file.Options{Path: "/a", Cleanup: "always"}, []refresher.FieldError{{Field: "cleanup", Problem: "must be onExit or never"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.options.Check()); diff != "" {
				t.Errorf("Check(%+v) (-want +got):\n%s", test.options, diff)
			}
		})
	}
}
