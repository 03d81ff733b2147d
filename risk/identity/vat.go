package identity

import "strings"

// ParseVAT reads a VAT number of the European Union, the United Kingdom, Norway or Switzerland with its prefix:
// "DE 136 695 976", "ATU13585627", "CHE-116.281.710 MWST". It returns prefix and number in capitals, without what stands
// between: Greece as EL, Belgian numbers with ten digits, without the suffixes of Norway and Switzerland. Check digits
// are those national offices publish, as the European Commission collects them for VIES; forms that have none, and the
// numbers of natural persons in Bulgaria, the Czech Republic and Latvia, are only looked at for their form.
func ParseVAT(s string) (string, error) {
	s = strings.TrimPrefix(FoldID(s), "VAT")
	if len(s) < 4 {
		return "", ErrID
	}
	country, rest := s[:2], s[2:]
	if country == "GR" {
		country = "EL"
	}
	scheme, ok := vatSchemes[country]
	if !ok {
		return "", ErrID
	}
	rest, form, good := scheme(rest)
	switch {
	case !form:
		return "", ErrID
	case !good:
		return "", ErrCheck
	}
	return country + rest, nil
}

// A vatScheme returns a number's normal form, whether it has the form at all, and whether its check digits are right.
type vatScheme func(s string) (normal string, form, good bool)

// fixed is a scheme of n digits with a check.
func fixed(n int, check func(d []int) bool) vatScheme {
	return func(s string) (string, bool, bool) {
		d, ok := digits(s)
		if !ok || len(d) != n {
			return "", false, false
		}
		return s, true, check(d)
	}
}

var vatSchemes = map[string]vatScheme{
	"AT": vatAT,
	"BE": vatBE,
	"BG": vatBG,
	"CH": vatCH,
	"CY": vatCY,
	"CZ": vatCZ,
	"DE": fixed(9, func(d []int) bool { return d[0] != 0 && mod1110(d) }),
	"DK": fixed(8, func(d []int) bool { return d[0] != 0 && weigh(d, 2, 7, 6, 5, 4, 3, 2, 1)%11 == 0 }),
	"EE": fixed(9, func(d []int) bool { return weigh(d, 3, 7, 1, 3, 7, 1, 3, 7, 1)%10 == 0 }),
	"EL": fixed(9, func(d []int) bool { return weigh(d, 256, 128, 64, 32, 16, 8, 4, 2)%11%10 == d[8] }),
	"ES": vatES,
	"FI": fixed(8, func(d []int) bool { return weigh(d, 7, 9, 10, 5, 8, 4, 2, 1)%11 == 0 }),
	"FR": vatFR,
	"GB": vatGB,
	"XI": vatGB,
	"HR": fixed(11, mod1110),
	"HU": fixed(8, func(d []int) bool { return weigh(d, 9, 7, 3, 1, 9, 7, 3, 1)%10 == 0 }),
	"IE": vatIE,
	"IT": fixed(11, luhn),
	"LT": vatLT,
	"LU": fixed(8, func(d []int) bool { return value(d[:6])%89 == value(d[6:]) }),
	"LV": fixed(11, func(d []int) bool { return d[0] <= 3 || weigh(d, 9, 1, 4, 8, 3, 10, 2, 5, 7, 6, 1)%11 == 3 }),
	"MT": fixed(8, func(d []int) bool { return d[0] != 0 && weigh(d, 3, 4, 6, 7, 8, 9, 10, 1)%37 == 0 }),
	"NL": vatNL,
	"NO": vatNO,
	"PL": fixed(10, func(d []int) bool { return weigh(d, 6, 5, 7, 2, 3, 4, 5, 6, 7)%11 == d[9] }),
	"PT": fixed(9, func(d []int) bool { return d[0] != 0 && (11-weigh(d, 9, 8, 7, 6, 5, 4, 3, 2)%11)%11%10 == d[8] }),
	"RO": vatRO,
	"SE": fixed(12, func(d []int) bool { return luhn(d[:10]) && value(d[10:]) > 0 }),
	"SI": fixed(8, func(d []int) bool {
		c := 11 - weigh(d, 8, 7, 6, 5, 4, 3, 2)%11
		return d[0] != 0 && c != 11 && c%10 == d[7]
	}),
	"SK": fixed(10, func(d []int) bool { return d[0] != 0 && value(d)%11 == 0 }),
}

func digits(s string) ([]int, bool) {
	if !digitsOnly(s) {
		return nil, false
	}
	d := make([]int, len(s))
	for i := range len(s) {
		d[i] = int(s[i] - '0')
	}
	return d, true
}

// weigh is the sum of digits times weights; digits beyond the weights do not count.
func weigh(d []int, weights ...int) int {
	sum := 0
	for i, w := range weights {
		sum += d[i] * w
	}
	return sum
}

func value(d []int) int {
	n := 0
	for _, x := range d {
		n = n*10 + x
	}
	return n
}

// luhn is ISO/IEC 7812-1 annex B: the last digit checks the others.
func luhn(d []int) bool {
	sum := 0
	for i := range d {
		x := d[len(d)-1-i]
		if i%2 == 1 {
			if x *= 2; x > 9 {
				x -= 9
			}
		}
		sum += x
	}
	return sum%10 == 0
}

// mod1110 is ISO/IEC 7064 MOD 11,10.
func mod1110(d []int) bool {
	p := 10
	for _, x := range d[:len(d)-1] {
		s := (p + x) % 10
		if s == 0 {
			s = 10
		}
		p = s * 2 % 11
	}
	return (p+d[len(d)-1])%10 == 1
}

func vatAT(s string) (string, bool, bool) {
	d, ok := digits(strings.TrimPrefix(s, "U"))
	if !ok || len(d) != 8 || s[0] != 'U' {
		return "", false, false
	}
	sum := 4
	for i, x := range d[:7] {
		if i%2 == 1 {
			x = x*2/10 + x*2%10
		}
		sum += x
	}
	return s, true, (10-sum%10)%10 == d[7]
}

func vatBE(s string) (string, bool, bool) {
	if len(s) == 9 {
		s = "0" + s
	}
	d, ok := digits(s)
	if !ok || len(d) != 10 || d[0] > 1 {
		return "", false, false
	}
	return s, true, 97-value(d[:8])%97 == value(d[8:])
}

func vatBG(s string) (string, bool, bool) {
	d, ok := digits(s)
	if !ok || len(d) != 9 && len(d) != 10 {
		return "", false, false
	}
	if len(d) == 10 {
		return s, true, true // natural persons and foreigners
	}
	c := weigh(d, 1, 2, 3, 4, 5, 6, 7, 8) % 11
	if c == 10 {
		c = weigh(d, 3, 4, 5, 6, 7, 8, 9, 10) % 11 % 10
	}
	return s, true, c == d[8]
}

func vatCH(s string) (string, bool, bool) {
	for _, suffix := range []string{"MWST", "TVA", "IVA", "HR", "RC"} {
		s = strings.TrimSuffix(s, suffix)
	}
	d, ok := digits(strings.TrimPrefix(s, "E"))
	if !ok || len(d) != 9 || s[0] != 'E' {
		return "", false, false
	}
	return s, true, (11-weigh(d, 5, 4, 3, 2, 7, 6, 5, 4)%11)%11 == d[8]
}

func vatCY(s string) (string, bool, bool) {
	if len(s) != 9 {
		return "", false, false
	}
	d, ok := digits(s[:8])
	if !ok || s[8] < 'A' || s[8] > 'Z' {
		return "", false, false
	}
	odd := [10]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21}
	sum := 0
	for i, x := range d {
		if i%2 == 0 {
			x = odd[x]
		}
		sum += x
	}
	return s, true, byte('A'+sum%26) == s[8]
}

func vatCZ(s string) (string, bool, bool) {
	d, ok := digits(s)
	if !ok || len(d) < 8 || len(d) > 10 {
		return "", false, false
	}
	if len(d) > 8 {
		return s, true, true // natural persons
	}
	return s, true, d[0] != 9 && (11-weigh(d, 8, 7, 6, 5, 4, 3, 2)%11)%10 == d[7]
}

func vatES(s string) (string, bool, bool) {
	const letters, control = "TRWAGMYFPDXBNJZSQVHLCKE", "JABCDEFGHI"
	if len(s) != 9 {
		return "", false, false
	}
	first, last := s[0], s[8]
	d, ok := digits(s[1:8])
	if !ok {
		return "", false, false
	}
	switch {
	case first >= '0' && first <= '9':
		d, _ = digits(s[:8])
		return s, last > '9', letters[value(d)%23] == last
	case first >= 'X' && first <= 'Z':
		return s, last > '9', letters[(int(first-'X')*10_000_000+value(d))%23] == last
	case first == 'K' || first == 'L' || first == 'M':
		return s, last > '9', letters[value(d)%23] == last
	case strings.IndexByte("ABCDEFGHJNPQRSUVW", first) < 0:
		return "", false, false
	}
	sum := 0
	for i, x := range d {
		if i%2 == 0 {
			x = x*2/10 + x*2%10
		}
		sum += x
	}
	c := (10 - sum%10) % 10
	return s, true, last == byte('0'+c) || last == control[c]
}

func vatFR(s string) (string, bool, bool) {
	if len(s) != 11 {
		return "", false, false
	}
	siren, ok := digits(s[2:])
	if !ok || strings.ContainsAny(s[:2], "IO") {
		return "", false, false
	}
	good := luhn(siren) || strings.HasPrefix(s[2:], "000") // Monaco
	if key, ok := digits(s[:2]); ok {
		good = good && value(key) == (12+3*(value(siren)%97))%97
	}
	return s, true, good
}

func vatGB(s string) (string, bool, bool) {
	if len(s) == 5 && (s[:2] == "GD" || s[:2] == "HA") { // government departments, health authorities
		d, ok := digits(s[2:])
		return s, ok, ok && (s[:2] == "GD") == (value(d) < 500)
	}
	d, ok := digits(s)
	if !ok || len(d) != 9 && len(d) != 12 {
		return "", false, false
	}
	sum := weigh(d, 8, 7, 6, 5, 4, 3, 2, 10, 1) % 97
	return s, true, sum == 0 || sum == 42 // 42: the numbers given out since 2010
}

func vatIE(s string) (string, bool, bool) {
	if len(s) == 8 && (s[1] < '0' || s[1] > '9') { // the old form: a digit, a letter or sign, five digits, a letter
		if d, ok := digits(s[:1] + s[2:7]); ok && s[7] >= 'A' {
			return s, true, checkIE(append([]int{0}, append(d[1:], d[0])...), 0) == s[7]
		}
		return "", false, false
	}
	if len(s) != 8 && len(s) != 9 {
		return "", false, false
	}
	d, ok := digits(s[:7])
	if !ok || s[7] < 'A' || s[7] > 'Z' {
		return "", false, false
	}
	extra := 0
	if len(s) == 9 {
		if s[8] == 'W' {
			extra = 0
		} else if s[8] >= 'A' && s[8] <= 'I' {
			extra = int(s[8]-'A') + 1
		} else {
			return "", false, false
		}
	}
	return s, true, checkIE(d, extra) == s[7]
}

func checkIE(d []int, extra int) byte {
	return "WABCDEFGHIJKLMNOPQRSTUV"[(weigh(d, 8, 7, 6, 5, 4, 3, 2)+9*extra)%23]
}

func vatLT(s string) (string, bool, bool) {
	d, ok := digits(s)
	if !ok || len(d) != 9 && len(d) != 12 || d[len(d)-2] != 1 {
		return "", false, false
	}
	last := len(d) - 1
	first, second := 0, 0
	for i, x := range d[:last] {
		first += x * (1 + i%9)
		second += x * (1 + (i+2)%9)
	}
	c := first % 11
	if c == 10 {
		c = second % 11 % 10
	}
	return s, true, c == d[last]
}

func vatNL(s string) (string, bool, bool) {
	if len(s) != 12 || s[9] != 'B' || !digitsOnly(s[10:]) {
		return "", false, false
	}
	d, ok := digits(s[:9])
	if !ok {
		return "", false, false
	}
	if weigh(d, 9, 8, 7, 6, 5, 4, 3, 2, -1)%11 == 0 {
		return s, true, true
	}
	// Since 2020: ISO/IEC 7064 MOD 97-10 over the whole, letters as numbers from 10.
	n := 0
	for _, c := range []byte("NL" + s) {
		if c <= '9' {
			n = (n*10 + int(c-'0')) % 97
		} else {
			n = (n*100 + int(c-'A') + 10) % 97
		}
	}
	return s, true, n == 1
}

func vatNO(s string) (string, bool, bool) {
	s = strings.TrimSuffix(s, "MVA")
	d, ok := digits(s)
	if !ok || len(d) != 9 {
		return "", false, false
	}
	return s, true, (11-weigh(d, 3, 2, 7, 6, 5, 4, 3, 2)%11)%11 == d[8]
}

func vatRO(s string) (string, bool, bool) {
	d, ok := digits(s)
	if !ok || len(d) < 2 || len(d) > 10 || d[0] == 0 {
		return "", false, false
	}
	all := append(make([]int, 10-len(d)), d...)
	return s, true, weigh(all, 7, 5, 3, 2, 1, 7, 5, 3, 2)*10%11%10 == all[9]
}
