package phone_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/phone"
)

// vectors reads a file of the phone vectors.
func vectors(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS is not set: it names the folder of the vectors")
	}
	b, err := os.ReadFile(filepath.Join(dir, "phone", filepath.FromSlash(name)))
	require.NoError(t, err)
	return b
}

func table(t testing.TB, name string) (rows []map[string]string) {
	t.Helper()
	lines, err := csv.NewReader(bytes.NewReader(vectors(t, name))).ReadAll()
	require.NoError(t, err)
	require.NotEmpty(t, lines)
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, column := range lines[0] {
			row[column] = line[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// kinds are the line types each type of the official examples may have.
var kinds = map[string][]phone.LineType{
	"FIXED_LINE": {phone.Landline, phone.FixedOrMobile}, "MOBILE": {phone.Mobile, phone.FixedOrMobile},
	"FIXED_LINE_OR_MOBILE": {phone.FixedOrMobile}, "TOLL_FREE": {phone.TollFree}, "PREMIUM_RATE": {phone.Premium},
	"SHARED_COST": {phone.SharedCost}, "PERSONAL_NUMBER": {phone.Personal}, "VOIP": {phone.NonFixedVoIP},
	"PAGER": {phone.Pager}, "UAN": {phone.UAN}, "VOICEMAIL": {phone.Voicemail},
}

func TestVectorsExampleNumbers(t *testing.T) {
	for _, row := range table(t, "libphonenumber/example_numbers.csv") {
		t.Run("example_numbers.csv/"+row["plus_number"]+"/"+row["region"]+"/"+row["type"], func(t *testing.T) {
			n, err := phone.Parse(row["plus_number"], "")
			require.NoError(t, err)
			require.Equal(t, row["plus_number"], n.E164())
			require.Equal(t, row["calling_code"], strconv.Itoa(n.CallingCode()))
			want, known := kinds[row["type"]]
			require.True(t, known, "type %s", row["type"])
			if n.Region() == phone.NonGeographic {
				want = append(want, phone.Satellite)
			}
			require.Contains(t, want, n.Line())
			again, err := phone.Parse(n.E164(), "")
			require.NoError(t, err)
			require.Equal(t, n, again)
		})
	}
}

func TestVectorsDisposable(t *testing.T) {
	list, err := phone.ReadList(bytes.NewReader(vectors(t, "disposable/ip1sms_numbers.csv")))
	require.NoError(t, err)
	rows := table(t, "disposable/ip1sms_numbers.csv")
	t.Run("ip1sms_numbers.csv", func(t *testing.T) {
		for _, row := range rows {
			d, err := strconv.ParseUint(row["digits"], 10, 64)
			require.NoError(t, err)
			hit := list.LookDigits(d)
			require.True(t, hit.Listed)
			if row["last_seen"] != "" {
				require.GreaterOrEqual(t, hit.LastSeen.Format("2006-01-02"), row["last_seen"])
			}
		}
	})
}

// Block density built from one half of the list has to find the other half, and leave people alone.
func TestVectorsBlockDensity(t *testing.T) {
	var half strings.Builder
	var rest []uint64
	for _, row := range table(t, "disposable/ip1sms_numbers.csv") {
		h := fnv.New32a()
		_, _ = h.Write([]byte(row["digits"]))
		if h.Sum32()&1 == 0 {
			fmt.Fprintln(&half, row["digits"])
			continue
		}
		d, err := strconv.ParseUint(row["digits"], 10, 64)
		require.NoError(t, err)
		rest = append(rest, d)
	}
	list, err := phone.ReadList(strings.NewReader(half.String()))
	require.NoError(t, err)
	found := 0
	for _, d := range rest {
		if list.LookDigits(d).Dense() > 0 {
			found++
		}
	}
	people := mobiles(t, 20_000)
	wrong := 0
	for _, n := range people {
		if list.Look(n).Dense() > 0 {
			wrong++
		}
	}
	recall, fall := 100*float64(found)/float64(len(rest)), 100*float64(wrong)/float64(len(people))
	t.Logf("block density: flags %.1f %% of %d unseen disposable numbers and %.3f %% of %d random valid mobiles", recall, len(rest), fall, len(people))
	require.GreaterOrEqual(t, recall, 30.0)
	require.LessOrEqual(t, fall, 0.2)
}

// mobiles makes random valid mobile numbers: a mobile example of a random region with random digits behind the third.
func mobiles(t testing.TB, n int) []phone.Number {
	var forms []string
	for _, row := range table(t, "libphonenumber/example_numbers.csv") {
		if row["type"] == "MOBILE" {
			forms = append(forms, row["plus_number"][:len(row["calling_code"])+1]+row["national_number"])
		}
	}
	require.NotEmpty(t, forms)
	r := rand.New(rand.NewPCG(7, 9))
	var out []phone.Number
	for len(out) < n {
		b := []byte(forms[r.IntN(len(forms))])
		first, err := phone.Parse(string(b), "")
		if err != nil {
			continue
		}
		for i := len(strconv.Itoa(first.CallingCode())) + 3; i < len(b); i++ {
			b[i] = byte('0' + r.IntN(10))
		}
		p, err := phone.Parse(string(b), "")
		if err == nil && (p.Line() == phone.Mobile || p.Line() == phone.FixedOrMobile) {
			out = append(out, p)
		}
	}
	return out
}

func TestVectorsWebOTP(t *testing.T) {
	var file struct {
		Rows []struct {
			Message, Host, Code string
			Embedded            *string
			Valid               bool
		}
	}
	require.NoError(t, json.Unmarshal(vectors(t, "webotp/spec_examples.json"), &file))
	for i, row := range file.Rows {
		t.Run(fmt.Sprintf("spec_examples.json/%d", i), func(t *testing.T) {
			got, ok := phone.ParseOriginBound(row.Message)
			require.Equal(t, row.Valid, ok)
			if !ok {
				return
			}
			require.Equal(t, row.Host, got.Host)
			require.Equal(t, row.Code, string(got.Code))
			embedded := ""
			if row.Embedded != nil {
				embedded = *row.Embedded
			}
			require.Equal(t, embedded, got.Embedded)
		})
	}
}
