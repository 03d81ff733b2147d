package fpjs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/fpjs"
)

func vectors(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS is not set: no vectors to compare with")
	}
	return filepath.Join(dir, "fingerprint", "fpjs-server")
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, into))
}

func verifier(t testing.TB, opts *fpjs.VerifierOptions) *fpjs.Verifier {
	t.Helper()
	once, err := fpjs.NewMemoryOnce(nil)
	require.NoError(t, err)
	v, err := fpjs.NewVerifier(once, opts)
	require.NoError(t, err)
	return v
}

func TestVectorsSealed(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectors(t), "sealed_*", "cases.json"))
	require.NoError(t, err)
	for _, file := range files {
		var doc struct {
			Cases []struct {
				Name, Sealed, Expect string
				Key                  string `json:"key_base64"`
				Reason               *string
				Plaintext            json.RawMessage
			}
		}
		readJSON(t, file, &doc)
		for _, c := range doc.Cases {
			t.Run(filepath.Base(filepath.Dir(file))+"/"+c.Name, func(t *testing.T) {
				o, err := fpjs.NewOpener(c.Key)
				if c.Expect == "constructor_error" {
					require.Error(t, err)
					return
				}
				require.NoError(t, err)
				got, err := o.Open(c.Sealed)
				if c.Expect == "ok" {
					require.NoError(t, err)
					want, err := fpjs.ParseEvent(c.Plaintext)
					require.NoError(t, err)
					require.Equal(t, want, got)
					return
				}
				refused, ok := errors.AsType[*fpjs.SealedError](err)
				require.True(t, ok, "%v", err)
				if c.Reason != nil {
					require.Equal(t, *c.Reason, string(refused.Reason))
				}
			})
		}
	}
}

func TestVectorsWebhooks(t *testing.T) {
	var cases []struct{ Secret, Body, Header, Expect string }
	readJSON(t, filepath.Join(vectors(t), "webhook_signatures.json"), &cases)
	for i, c := range cases {
		t.Run(fmt.Sprintf("webhook_signatures.json/%d %s", i, c.Expect), func(t *testing.T) {
			w, err := fpjs.NewWebhook(verifier(t, nil), c.Secret)
			if c.Expect == "constructor_error" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.Expect == "valid", w.Verify([]byte(c.Body), c.Header))
		})
	}
}

func TestVectorsEvents(t *testing.T) {
	dir := vectors(t)
	var cases []struct {
		File, Kind string
		EventID    string   `json:"event_id"`
		EventIDs   []string `json:"event_ids"`
		ErrorCode  string   `json:"error_code"`
		Status     int      `json:"http_status"`
	}
	readJSON(t, filepath.Join(dir, "events_expected.json"), &cases)
	for _, c := range cases {
		t.Run(c.File, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join(dir, c.File))
			require.NoError(t, err)
			switch c.Kind {
			case "error":
				require.Equal(t, c.ErrorCode, fpjs.ParseError(c.Status, body).Code)
				_, err = fpjs.ParseEvent(body)
				require.ErrorIs(t, err, fpjs.ErrEvent)
			case "search":
				list, err := fpjs.ParseEvents(body)
				require.NoError(t, err)
				var ids []string
				for _, e := range list {
					ids = append(ids, e.ID)
				}
				require.Equal(t, c.EventIDs, ids)
			default:
				e, err := fpjs.ParseEvent(body)
				require.NoError(t, err)
				require.Equal(t, c.EventID, e.ID)
			}
		})
	}
}
