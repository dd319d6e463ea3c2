package agent_test

import (
	"os"
	"testing"
)

// The agents of these tests are many, and none is this user's: they stay out of the usual place for the admin
// socket.
func TestMain(m *testing.M) {
	if err := os.Unsetenv("XDG_RUNTIME_DIR"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
