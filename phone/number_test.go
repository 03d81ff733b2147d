package phone_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
)

func TestParse(t *testing.T) {
	for _, row := range []struct {
		in, region, want string
		line             phone.LineType
	}{
		{"+47 400 00 000", "", "+4740000000", phone.Mobile},
		{"400 00 000", "NO", "+4740000000", phone.Mobile},
		{"0047 40000000", "SE", "+4740000000", phone.Mobile},
		{"+1 202 555 0123", "", "+12025550123", phone.FixedOrMobile},
		{"(202) 555-0123", "US", "+12025550123", phone.FixedOrMobile},
		{"+39 06 69812345", "", "+390669812345", phone.Landline},
		{"\u202a+47 400 00 000\u202c", "", "+4740000000", phone.Mobile},
		{"＋４７４０００００００", "", "+4740000000", phone.Mobile},
		{"٤٠٠٠٠٠٠٠", "NO", "+4740000000", phone.Mobile},
		{"+15005550006", "", "+15005550006", phone.Personal},
		{"+54 11 15 2345 6789", "", "+5491123456789", phone.Mobile},
		{"+881612345678", "", "+881612345678", phone.Satellite},
	} {
		n, err := phone.Parse(row.in, row.region)
		require.NoError(t, err, "%q", row.in)
		require.Equal(t, row.want, n.E164())
		require.Equal(t, row.line, n.Line(), "%q", row.in)
	}
	a, _ := phone.Parse("+1 242 359 1234", "")
	require.Equal(t, "BS", a.Region(), "not the region of the calling code")
	require.Equal(t, "+4740000", number(t, mobile).Prefix(3))
	require.Equal(t, "+47", number(t, mobile).Prefix(9))
}

func TestParseRefuses(t *testing.T) {
	for _, row := range []struct {
		in, region string
		want       error
	}{
		{"", "NO", phone.ErrInvalid}, {" ", "NO", phone.ErrInvalid}, {"40000000", "", phone.ErrInvalid}, {"+", "", phone.ErrInvalid},
		{strings.Repeat("4", 1<<20), "NO", phone.ErrTooLong}, {"+" + strings.Repeat("0", 15), "", phone.ErrInvalid},
		{"+47400000\x0000", "", phone.ErrInvalid}, {"+47 40\u202e0 00 000", "", phone.ErrInvalid}, {"+47 4000٠٠٠٠", "", phone.ErrInvalid},
		{"+4740000000 ext. 5", "", phone.ErrExtension}, {"+4740000000x5", "", phone.ErrExtension}, {"+4740000000#5", "", phone.ErrExtension},
		{"+4740000000;ext=5", "", phone.ErrExtension}, {"+4740000000;phone-context=+47", "", phone.ErrInvalid}, {"tel:+4740000000", "", phone.ErrInvalid},
		{"1-800-FLOWERS", "US", phone.ErrInvalid}, {"+1-800-FLOWERS", "US", phone.ErrInvalid}, {"+44 7700 900123", "", phone.ErrInvalid}, {"+521 55 1234 5678", "", phone.ErrInvalid},
		{"112", "NO", phone.ErrInvalid}, {"+47 400 00 00", "", phone.ErrInvalid}, {"+4740000000+4740000001", "", phone.ErrInvalid},
		{"+4740000000\n@evil.com #1", "", phone.ErrInvalid}, {"\xff\xfe", "", phone.ErrInvalid}, {"40000000", "XX", phone.ErrInvalid}, {"<b>", "NO", phone.ErrInvalid},
	} {
		n, err := phone.Parse(row.in, row.region)
		require.True(t, errors.Is(err, row.want), "%.40q: %v", row.in, err)
		require.True(t, n.IsZero())
	}
}

func TestNumberIsMasked(t *testing.T) {
	n := number(t, mobile)
	b, err := json.Marshal(map[string]any{"n": n})
	require.NoError(t, err)
	for _, s := range []string{fmt.Sprint(n), fmt.Sprintf("%v %+v %#v %s %q %x %d", n, n, n, n, n, n, n), fmt.Sprint(struct{ N phone.Number }{n}), string(b), n.LogValue().String()} {
		require.NotContains(t, s, "000000")
		require.Contains(t, s, "+47")
	}
	require.Empty(t, phone.Number{}.String())
	require.Empty(t, phone.Number{}.E164())
	m := phone.Message{To: n, Channel: phone.SMS, Code: "123456", Text: "123456 is your code"}
	for _, s := range []string{fmt.Sprintf("%v %+v %#v", m, m, m), fmt.Sprintf("%v %#v %d", m.Code, m.Code, m.Code)} {
		require.NotContains(t, s, "123456")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"+4740000000", "400 00 000", "+1 (202) 555-0123 ext. 5", "tel:+1;phone-context=", "٤٠٠٠٠٠٠٠", "\u202a+47400\u202c", "+390669812345"} {
		f.Add(s, "NO")
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, s, region string) {
		n, err := phone.Parse(s, region)
		if err != nil {
			if !n.IsZero() {
				t.Fatal("a number beside an error")
			}
			return
		}
		if l := len(n.E164()); l < 5 || l > 16 {
			t.Fatalf("%d bytes", l)
		}
		again, err := phone.Parse(n.E164(), "")
		if err != nil || again != n {
			t.Fatalf("%s is not the same read again: %v", n, err)
		}
	})
}

func FuzzReadList(f *testing.F) {
	f.Add("digits,last_seen\n4740000000,2026-01-01\n")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := phone.ReadList(strings.NewReader(s))
		if err == nil {
			l.LookDigits(4740000000)
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add("Evil\n@evil.com #1", "747723 is your code.\n\n@example.com #747723 @x.example")
	f.Fuzz(func(t *testing.T, brand, message string) {
		b := phone.Brand(brand)
		if phone.Septets(b) < 0 || strings.ContainsAny(b, "\r\n@#./:") || len([]rune(b)) > 24 {
			t.Fatalf("%q", b)
		}
		if o, ok := phone.ParseOriginBound(message); ok && (o.Host == "" || o.Code == "") {
			t.Fatal("bound to nothing")
		}
		if c, ok := phone.ReadCode(message); ok && strings.Trim(string(c), "0123456789") != "" {
			t.Fatal("no digits")
		}
	})
}

func TestReadListRefuses(t *testing.T) {
	for _, s := range []string{"12\n", "4740000000\nhello\n", "4740000000,yesterday\n", "0123456789\n", strings.Repeat("1", 19) + "\n", strings.Repeat("1", 400), "4740000000,1900-01-01"} {
		_, err := phone.ReadList(strings.NewReader(s))
		require.Error(t, err, "%.30q", s)
		require.NotContains(t, err.Error(), "4740000000")
	}
	var live phone.LiveList
	require.False(t, live.Look(number(t, mobile)).Listed)
	l, err := phone.ReadList(strings.NewReader("\ufeff# comment\n\n+4740000000\n4740000000,2026-01-02\n"))
	require.NoError(t, err)
	require.Equal(t, 1, l.Len())
	live.Set(l)
	h := live.Look(number(t, mobile))
	require.True(t, h.Listed)
	require.Equal(t, "2026-01-02", h.LastSeen.Format("2006-01-02"))
}
