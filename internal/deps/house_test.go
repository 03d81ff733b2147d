package deps_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/internal/deps"
)

// TestHouse checks this module. It lists every folder and reads every source file itself: the go command notes both and
// runs the test again when one has changed.
func TestHouse(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err, "the test runs in internal/deps of the module")
	require.Contains(t, string(mod), "module "+deps.House().Module+"\n")

	breaches, err := deps.Check(os.DirFS(root), deps.House())
	require.NoError(t, err)
	for _, b := range breaches {
		t.Error(b)
	}
}
