package fingerprint_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
)

func TestVectorsBrowserResults(t *testing.T) {
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS is not set: no vectors to compare with")
	}
	files, err := filepath.Glob(filepath.Join(dir, "fingerprint", "browser", "*.result.json"))
	require.NoError(t, err)
	words := map[string]fingerprint.Mark{
		"components.webdriver": fingerprint.MarkWebDriver, "components.botd-headless": fingerprint.MarkHeadless,
		"components.platform-mismatch": fingerprint.MarkPlatform, "components.software-renderer": fingerprint.MarkRenderer,
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			var request struct {
				UserAgent string `json:"user_agent"`
				VisitorID string `json:"fpjs_visitor_id"`
				Expected  struct {
					By    bool `json:"by_components"`
					Codes []string
				}
			}
			said, err := os.ReadFile(strings.Replace(file, ".result.json", ".request.json", 1))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(said, &request))

			got, err := fingerprint.ParseReport(raw, request.UserAgent)
			require.NoError(t, err)
			require.Equal(t, request.VisitorID, got.Token.ID)
			require.False(t, got.Token.Inconsistent, "the visitorId does not follow from the components")
			if !request.Expected.By {
				require.Zero(t, got.Marks&^fingerprint.MarkRenderer)
				return
			}
			var want fingerprint.Mark
			for _, w := range request.Expected.Codes {
				want |= words[w]
			}
			require.NotZero(t, got.Marks&want, "want one of %v, got %b", request.Expected.Codes, got.Marks)
		})
	}
}
