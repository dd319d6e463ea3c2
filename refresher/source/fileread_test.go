package source

import (
	"io/fs"
	"strings"
	"testing"
)

func TestPermissionHintNamesTheCombination(t *testing.T) {
	wisp := owner{65532, 65532}
	for _, test := range []struct {
		name   string
		mode   fs.FileMode
		file   owner
		groups []int
		want   []string
	}{
		{
			"all containers but wisp's share a user", 0o600, owner{1000, 0}, nil,
			[]string{"mode 0600, uid 1000, gid 0", "runAsUser 65532", "groups [65532]", "set runAsUser: 1000 on wisp's container"},
		},
		{
			"an fsGroup that wisp is not in", 0o640, owner{0, 2000}, []int{3000},
			[]string{"mode 0640, uid 0, gid 2000", "groups [3000 65532]", "set fsGroup: 2000"},
		},
		{
			"root's own", 0o600, owner{0, 0}, []int{65532},
			[]string{"mode 0600, uid 0, gid 0", "groups [65532]", "set an fsGroup for the Pod"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := explainPermission(test.mode, test.file, wisp, test.groups)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("hint %q lacks %q", got, want)
				}
			}
		})
	}
}
