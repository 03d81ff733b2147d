package ja4_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint/ja4"
)

// vectors returns a folder of test vectors, or skips.
func vectors(t *testing.T, folder string) string {
	t.Helper()
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS is not set: no vectors to compare with")
	}
	return filepath.Join(dir, "fingerprint", folder)
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, into))
}

// hello lets crypto/tls read a ClientHello message and returns what it tells GetConfigForClient.
func hello(t testing.TB, message []byte) *tls.ClientHelloInfo {
	t.Helper()
	var got *tls.ClientHelloInfo
	config := &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		got = h
		return nil, fmt.Errorf("seen")
	}, MinVersion: tls.VersionTLS10}
	server, client := net.Pipe()
	go func() {
		for rest := message; len(rest) > 0; {
			n := min(len(rest), 16<<10)
			_, _ = client.Write(append([]byte{22, 3, 1, byte(n >> 8), byte(n)}, rest[:n]...))
			rest = rest[n:]
		}
		_ = client.Close()
	}()
	_ = tls.Server(server, config).Handshake()
	_ = server.Close()
	return got
}

func TestVectorsHellos(t *testing.T) {
	dir := vectors(t, "ja4")
	for _, file := range []string{"foxio_vectors.json", "captured_clients.json"} {
		var cases []struct {
			Pcap, Client, Transport string
			Frame                   int
			Optional                any
			Hello                   string `json:"client_hello_hex"`
			JA4                     string `json:"ja4"`
			R                       string `json:"ja4_r"`
			O                       string `json:"ja4_o"`
			RO                      string `json:"ja4_ro"`
		}
		readJSON(t, filepath.Join(dir, file), &cases)
		for i, c := range cases {
			t.Run(fmt.Sprintf("%s/%d %s%s %d", file, i, c.Pcap, c.Client, c.Frame), func(t *testing.T) {
				message, err := hex.DecodeString(c.Hello)
				require.NoError(t, err)
				transport, h := ja4.TCP, (*tls.ClientHelloInfo)(nil)
				if c.Transport == "quic" {
					transport, h = ja4.QUIC, quicHello(t, message)
				} else {
					h = hello(t, message)
				}
				require.NotNil(t, h, "crypto/tls refused the hello")
				got := ja4.All(h, transport)
				require.Equal(t, ja4.Forms{JA4: c.JA4, Raw: c.R, Original: c.O, RawOriginal: c.RO}, got)
				if transport == ja4.TCP {
					require.Equal(t, c.JA4, ja4.Of(h))
				}
				_, err = ja4.Parse(got.JA4)
				require.NoError(t, err)
			})
		}
	}
}

// quicHello is hello for a message that came over QUIC.
func quicHello(t *testing.T, message []byte) *tls.ClientHelloInfo {
	t.Helper()
	var got *tls.ClientHelloInfo
	q := tls.QUICServer(&tls.QUICConfig{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		got = h
		return nil, fmt.Errorf("seen")
	}}})
	defer func() { _ = q.Close() }()
	q.SetTransportParameters(nil)
	require.NoError(t, q.Start(t.Context()))
	_ = q.HandleData(tls.QUICEncryptionLevelInitial, message)
	return got
}

func TestVectorsSpecExamples(t *testing.T) {
	dir := vectors(t, "ja4")
	var examples struct {
		Hashes []struct{ Kind, Input, Want string }
		ALPN   []struct {
			First string `json:"alpn_first_hex"`
			Want  string
		} `json:"alpn"`
	}
	readJSON(t, filepath.Join(dir, "spec_examples.json"), &examples)
	for _, c := range examples.Hashes {
		t.Run("spec_examples.json/"+c.Kind+" "+c.Want, func(t *testing.T) {
			sum := sha256.Sum256([]byte(c.Input))
			require.Equal(t, c.Want, hex.EncodeToString(sum[:6]))
			h := fromLists(t, c.Kind, c.Input)
			p, err := ja4.Parse(ja4.Of(h))
			require.NoError(t, err)
			if c.Kind == "cipher_hash" {
				require.Equal(t, c.Want, p.B)
			} else {
				require.Equal(t, c.Want, p.C)
			}
		})
	}
	for _, c := range examples.ALPN {
		t.Run("spec_examples.json/alpn "+c.First, func(t *testing.T) {
			first, err := hex.DecodeString(c.First)
			require.NoError(t, err)
			h := &tls.ClientHelloInfo{SupportedProtos: []string{string(first)}}
			require.Equal(t, c.Want, ja4.Of(h)[8:10])
		})
	}
}
