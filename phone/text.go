package phone

import (
	"errors"
	"fmt"
	"strings"
)

// MaxText is the length of one SMS segment in the GSM 7-bit alphabet (3GPP TS 23.038).
const MaxText = 160

// Texts are the messages by language tag ("en", "nb"), with {brand} and {code} in them. Each must fit one segment with
// the longest brand and code.
type Texts map[string]string

// DefaultTexts are short messages in a few languages.
func DefaultTexts() Texts {
	return Texts{
		"en": "{code} is your {brand} code. Do not share it with anyone.",
		"da": "{code} er din kode til {brand}. Del den ikke med nogen.",
		"de": "{code} ist Ihr Code für {brand}. Geben Sie ihn nicht weiter.",
		"es": "{code} es su clave de {brand}. No la comparta con nadie.",
		"fr": "{code} est votre code {brand}. Ne le partagez pas.",
		"nb": "{code} er koden din til {brand}. Ikke del den med noen.",
		"sv": "{code} är din kod till {brand}. Dela den inte med någon.",
	}
}

// maxBrand is the most characters of a brand.
const maxBrand = 24

// Brand makes a text fit to stand in a message: letters, digits, spaces, '-', '&' and apostrophes of the GSM alphabet, at most
// 24. What could begin a new line, a link or an origin-bound code ('@', '#', '.', '/', ':') is dropped, so that no
// user's text can forge one.
func Brand(s string) string {
	var b strings.Builder
	n := 0
	space := false
	for _, r := range s {
		if r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '.' || r == '/' || r == ':' {
			space = n > 0
			continue
		}
		letter := r < 128 && (r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '&' || r == '\'')
		if !letter && !(r >= 128 && strings.ContainsRune(gsmLetters, r)) {
			continue
		}
		if space && n+2 > maxBrand || n+1 > maxBrand {
			break
		}
		if space {
			b.WriteByte(' ')
			n++
			space = false
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

const gsmLetters = "èéùìòÇØøÅåÆæßÉÄÖÑÜäöñüà"

// gsm7 is the basic alphabet of 3GPP TS 23.038 without the escape.
const gsm7 = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

// Septets is how many of the 160 places of a segment a text takes; -1 when it has a character that would turn the whole
// message into UCS-2, which has 70.
func Septets(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case strings.ContainsRune(gsm7, r):
			n++
		case strings.ContainsRune("^{}\\[~]|€\f", r):
			n += 2
		default:
			return -1
		}
	}
	return n
}

// writer builds messages.
type writer struct {
	texts Texts
	tail  string // "\n\n[hash\n]@host #"
}

func newWriter(texts Texts, host, appHash string, digits int) (*writer, error) {
	w := &writer{texts: texts}
	if w.texts == nil {
		w.texts = DefaultTexts()
	}
	if host != "" && !validHost(host) {
		return nil, errors.New("phone: Origin must be a bare host name such as example.com")
	}
	if appHash != "" && (len(appHash) != 11 || strings.Trim(appHash, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") != "") {
		return nil, errors.New("phone: AppHash must be the 11 characters of Android's SMS Retriever")
	}
	if appHash != "" || host != "" {
		w.tail = "\n"
	}
	if appHash != "" {
		w.tail += "\n" + appHash
	}
	if host != "" {
		w.tail += "\n@" + host + " #"
	}
	if len(w.texts) == 0 || w.texts["en"] == "" {
		return nil, errors.New("phone: Texts must hold at least \"en\", what other languages fall back to")
	}
	for tag, text := range w.texts {
		if strings.Count(text, "{code}") != 1 || strings.ContainsAny(text, "\r\n@#") {
			return nil, fmt.Errorf("phone: the text %q must hold {code} once, and no line break, '@' or '#'", tag)
		}
		full := w.write(tag, strings.Repeat("B", maxBrand), Code(strings.Repeat("0", digits)))
		if n := Septets(full); n < 0 || n > MaxText {
			return nil, fmt.Errorf("phone: the text %q does not fit one segment of %d GSM-7 characters with brand, code, hash and origin", tag, MaxText)
		}
	}
	return w, nil
}

// write makes a message. brand is as Brand made it.
func (w *writer) write(locale, brand string, code Code) string {
	text, ok := w.texts[locale]
	for !ok {
		i := strings.LastIndexAny(locale, "-_")
		if i < 0 {
			text = w.texts["en"]
			break
		}
		locale = locale[:i]
		text, ok = w.texts[locale]
	}
	// One pass: what is filled in is never looked at again.
	out := strings.NewReplacer("{brand}", brand, "{code}", string(code)).Replace(text) + w.tail
	if strings.HasSuffix(out, " #") {
		out += string(code)
	}
	return out
}
