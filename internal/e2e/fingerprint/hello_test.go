package fingerprint_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkHello compares the server's JA4 with one computed from tshark's dissection of the same bytes, or, without tshark,
// from a reading of the bytes of this file's own.
func checkHello(t *testing.T, v visit) {
	t.Helper()
	require.NotEmpty(t, v.hello)
	own := readHello(t, v.hello)
	require.Equal(t, own.ja4(), v.ja4)
	if path, err := exec.LookPath("tshark"); err == nil {
		dissected := tshark(t, path, v.hello)
		require.Equal(t, dissected.ja4(), v.ja4, "tshark's fields")
		require.Equal(t, own, dissected)
	} else if os.Getenv("VESTIBULE_REQUIRE_CLIENTS") == "1" {
		require.NoError(t, err)
	}
}

// fields are a hello's, in the order sent, GREASE included.
type fields struct {
	legacy                                   uint16
	ciphers, extensions, signatures, version []uint16
	alpn                                     string
}

// reader takes a message apart.
type reader struct {
	t *testing.T
	b []byte
}

func (r *reader) take(n int) []byte {
	r.t.Helper()
	require.GreaterOrEqual(r.t, len(r.b), n, "the hello ends early")
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) number(size int) (n int) {
	for _, c := range r.take(size) {
		n = n<<8 | int(c)
	}
	return n
}

func (r *reader) vector(size int) *reader { return &reader{r.t, r.take(r.number(size))} }

func (r *reader) numbers() (out []uint16) {
	for len(r.b) > 0 {
		out = append(out, uint16(r.number(2)))
	}
	return out
}

// readHello reads TLS records (RFC 8446, section 4.1.2).
func readHello(t *testing.T, raw []byte) (f fields) {
	var message []byte
	records := &reader{t, raw}
	for {
		require.Equal(t, 22, records.number(1), "a handshake record")
		records.take(2)
		message = append(message, records.vector(2).b...)
		if len(message) >= 4 && len(message) >= 4+int(binary.BigEndian.Uint32(message)&0xffffff) {
			break
		}
	}
	r := &reader{t, message}
	require.Equal(t, 1, r.number(1), "a ClientHello")
	r = r.vector(3)
	f.legacy = uint16(r.number(2))
	r.take(32)
	r.vector(1)
	f.ciphers = r.vector(2).numbers()
	r.vector(1)
	for list := r.vector(2); len(list.b) > 0; {
		kind, body := uint16(list.number(2)), list.vector(2)
		f.extensions = append(f.extensions, kind)
		switch kind {
		case 13:
			f.signatures = body.vector(2).numbers()
		case 16:
			f.alpn = string(body.vector(2).vector(1).b)
		case 43:
			f.version = body.vector(1).numbers()
		}
	}
	return f
}

func tshark(t *testing.T, path string, raw []byte) (f fields) {
	file := filepath.Join(t.TempDir(), "hello.pcap")
	require.NoError(t, os.WriteFile(file, pcap(raw), 0o600))
	names := []string{"version", "ciphersuite", "extension.type", "sig_hash_alg", "extensions.supported_version", "extensions_alpn_str", "sig_hash_alg_len"}
	args := []string{"-r", file, "-T", "fields", "-E", "separator=|", "-E", "aggregator=,"}
	for _, n := range names {
		args = append(args, "-e", "tls.handshake."+n)
	}
	out, err := exec.CommandContext(t.Context(), path, args...).Output()
	require.NoError(t, err)
	parts := strings.Split(strings.TrimSpace(string(out)), "|")
	require.Len(t, parts, len(names), "%s", out)
	list := func(text string) (out []uint16) {
		for part := range strings.SplitSeq(text, ",") {
			if part == "" {
				continue
			}
			n, err := strconv.ParseUint(part, 0, 16)
			require.NoError(t, err)
			out = append(out, uint16(n))
		}
		return out
	}
	f.legacy = list(parts[0])[0]
	f.ciphers, f.extensions, f.version = list(parts[1]), list(parts[2]), list(parts[4])
	// Three extensions have such lists: signature_algorithms (13), delegated_credential (34), signature_algorithms_cert
	// (50). tshark gives all lists together, in the order sent, and the length of each in bytes.
	all, lengths := list(parts[3]), list(parts[6])
	for _, kind := range f.extensions {
		if kind != 13 && kind != 34 && kind != 50 {
			continue
		}
		require.NotEmpty(t, lengths)
		n := int(lengths[0]) / 2
		require.LessOrEqual(t, n, len(all))
		if kind == 13 {
			f.signatures = all[:n]
		}
		all, lengths = all[n:], lengths[1:]
	}
	f.alpn, _, _ = strings.Cut(parts[5], ",")
	return f
}

// pcap is a capture file of one packet of IPv4 and TCP to port 443.
func pcap(raw []byte) []byte {
	tcp := make([]byte, 20, 20+len(raw))
	binary.BigEndian.PutUint16(tcp, 40000)
	binary.BigEndian.PutUint16(tcp[2:], 443)
	tcp[3], tcp[7], tcp[12], tcp[13] = 0xbb, 1, 5<<4, 0x18
	tcp = append(tcp, raw...)
	ip := make([]byte, 20, 20+len(tcp))
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(tcp)))
	copy(ip[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	ip = append(ip, tcp...)
	const rawIP = 101
	var b []byte
	for _, n := range []uint32{0xa1b2c3d4, 2 | 4<<16, 0, 0, 1 << 18, rawIP, 0, 0, uint32(len(ip)), uint32(len(ip))} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return append(b, ip...)
}

// ja4 follows the specification's text, step by step.
func (f fields) ja4() string {
	real := func(list []uint16) []uint16 {
		return slices.DeleteFunc(slices.Clone(list), func(v uint16) bool { return v>>8 == v&255 && v&15 == 10 })
	}
	ciphers, extensions, versions := real(f.ciphers), real(f.extensions), real(f.version)
	version := f.legacy
	if len(versions) > 0 {
		version = slices.Max(versions)
	}
	sni, alpn := "i", "00"
	if slices.Contains(extensions, 0) {
		sni = "d"
	}
	if f.alpn != "" {
		alpn = f.alpn[:1] + f.alpn[len(f.alpn)-1:]
	}
	a := fmt.Sprintf("t%s%s%02d%02d%s", map[uint16]string{0x304: "13", 0x303: "12", 0x302: "11", 0x301: "10"}[version], sni, min(len(ciphers), 99), min(len(extensions), 99), alpn)
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])[:12]
	}
	join := func(list []uint16) string {
		var out []string
		for _, v := range list {
			out = append(out, fmt.Sprintf("%04x", v))
		}
		return strings.Join(out, ",")
	}
	slices.Sort(ciphers)
	extensions = slices.DeleteFunc(extensions, func(v uint16) bool { return v == 0 || v == 16 })
	slices.Sort(extensions)
	c := join(extensions)
	if s := real(f.signatures); len(s) > 0 {
		c += "_" + join(s)
	}
	return a + "_" + hash(join(ciphers)) + "_" + hash(c)
}
