package identity_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/risk/identity"
)

func TestBusinessForms(t *testing.T) {
	for _, row := range []struct {
		kind, in, want string
		err            error
	}{
		{"usdot", "1234567", "1234567", nil},
		{"usdot", " USDOT 1234567 ", "1234567", nil},
		{"usdot", "US DOT# 01234567", "1234567", nil},
		{"usdot", "dot-no. 12", "12", nil},
		{"usdot", "１２３４５６７", "1234567", nil},
		{"usdot", "123456789", "", identity.ErrID},
		{"usdot", "0000", "", identity.ErrID},
		{"usdot", "", "", identity.ErrID},
		{"usdot", "MC123", "", identity.ErrID},
		{"usdot", strings.Repeat("1", 100), "", identity.ErrID},
		{"usdot", "١٢٣", "", identity.ErrID},
		{"mc", "123456", "MC123456", nil},
		{"mc", "MC-0123456", "MC123456", nil},
		{"mc", "mx 77", "MX77", nil},
		{"mc", "FF-1234", "FF1234", nil},
		{"mc", "MC", "", identity.ErrID},
		{"mc", "MC 12 A", "", identity.ErrID},
		{"ein", "12-3456789", "123456789", nil},
		{"ein", "EIN: 98 7654321", "987654321", nil},
		{"ein", "07-3456789", "", identity.ErrCheck},
		{"ein", "12-0000000", "", identity.ErrCheck},
		{"ein", "12-345678", "", identity.ErrID},
		{"other", "ab-12/3", "AB123", nil},
		{"other", "--", "", identity.ErrID},
		{"vat", "", "", identity.ErrID},
		{"vat", "ZZ123456789", "", identity.ErrID},
		{"vat", "DE12345678", "", identity.ErrID},
	} {
		got, err := identity.ParseID(row.kind, row.in)
		require.ErrorIs(t, err, row.err, row.in)
		require.Equal(t, row.want, got, row.in)
	}
}

// Numbers of real enterprises, as they stand on their own web sites.
func TestVAT(t *testing.T) {
	good := map[string]string{
		"ATU 13585627": "ATU13585627", "BE 428759497": "BE0428759497", "BE0428759497": "BE0428759497", "BG 175 074 752": "BG175074752",
		"CHE-107.787.577 IVA": "CHE107787577", "CY-10259033P": "CY10259033P", "CZ 25123891": "CZ25123891", "DE 136,695 976": "DE136695976",
		"DK 13585628": "DK13585628", "EE 100 931 558": "EE100931558", "EL 094259216": "EL094259216", "GR 094259216": "EL094259216",
		"ES A13585625": "ESA13585625", "ES54362315K": "ES54362315K", "ESX5253868R": "ESX5253868R", "ESM1234567L": "ESM1234567L",
		"FI 20774740": "FI20774740", "FR 40 303 265 045": "FR40303265045", "FR 23 334 175 221": "FR23334175221", "FR K7 399 859 412": "FRK7399859412",
		"GB 980 7806 84": "GB980780684", "GBGD001": "GBGD001", "GBHA500": "GBHA500", "HR 33392005961": "HR33392005961", "HU-12892312": "HU12892312",
		"IE 6433435F": "IE6433435F", "IE 6433435OA": "IE6433435OA", "IE8D79739I": "IE8D79739I", "IT 00743110157": "IT00743110157",
		"LT 119511515": "LT119511515", "LT 100001919017": "LT100001919017", "LU 150 274 42": "LU15027442", "LV 4000 3521 600": "LV40003521600",
		"MT 1167-9112": "MT11679112", "NL004495445B01": "NL004495445B01", "NL002455799B11": "NL002455799B11", "NO 995 525 828 MVA": "NO995525828",
		"PL 8567346215": "PL8567346215", "PT 501 964 843": "PT501964843", "RO 185 472 90": "RO18547290", "SE 123456789701": "SE123456789701",
		"SI 5022 3054": "SI50223054", "SK 202 274 96 19": "SK2022749619",
	}
	for in, want := range good {
		got, err := identity.ParseVAT(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
		again, err := identity.ParseVAT(got)
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
	for _, number := range good {
		if strings.HasPrefix(number, "GBGD") || strings.HasPrefix(number, "GBHA") {
			continue
		}
		// Another digit in the middle is noticed in every scheme.
		i := len(number) - 4
		for number[i] < '0' || number[i] > '9' {
			i--
		}
		changed := number[:i] + string('0'+(number[i]-'0'+1)%10) + number[i+1:]
		_, err := identity.ParseVAT(changed)
		require.Error(t, err, changed)
	}
	for _, bad := range []string{
		"ATX13585627", "ATU1358562", "BE2428759497", "CHE10778757", "CH107787577", "CY10259033", "CY102590331", "CZ1234567", "CZ95123896", "ESI13585625",
		"ES5436231KK", "FRIO303265045", "FR4030326504", "GB98078068", "GBGD500", "GBHA499", "IE64334350", "IE6433435FZ", "IE6433435", "IE8D7973",
		"LT119511525", "LT1195115", "NL004495445A01", "NL004495445B0", "NLX04495445B01", "NO995525829", "NO99552582", "RO1", "RO0123", "SE123456789700", "SI50223055",
		"LV4000352160", "AT", "U", "DE", "DE036695976",
	} {
		_, err := identity.ParseVAT(bad)
		require.Error(t, err, bad)
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"USDOT 1234567", "MC-123456", "12-3456789", "DE136695976", "IE8D79739I", "ESX5253868R", "FRK7399859412", "NL004495445B01", "CHE107787577IVA", "１２"} {
		for i := range 5 {
			f.Add(s, i)
		}
	}
	kinds := []string{"usdot", "mc", "ein", "vat", "other"}
	f.Fuzz(func(t *testing.T, s string, k int) {
		kind := kinds[uint(k)%5]
		got, err := identity.ParseID(kind, s)
		if err != nil {
			require.Empty(t, got)
			return
		}
		require.LessOrEqual(t, len(got), 4*64)
		again, err := identity.ParseID(kind, got)
		require.NoError(t, err)
		require.Equal(t, got, again, "the normal form is its own")
	})
}
