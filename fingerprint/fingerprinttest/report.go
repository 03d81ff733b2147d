package fingerprinttest

import (
	"encoding/json"
	"fmt"

	"github.com/vestibule-go/vestibule/fingerprint"
)

// Machine is a device for reports.
type Machine struct {
	Platform string // navigator.platform: "Win32", "iPhone"
	Seed     string // devices of one seed and platform have the same fingerprint
	Local    string // device ids that its storage holds
	Indexed  string
	// WebDriver, Bot and Software mark a program: driven, found by BotD, drawing in software.
	WebDriver, Bot, Software bool
}

// Report returns what the page's script sends from the machine: a result of FingerprintJS 5.2 whose visitorId follows
// from its components.
func (m Machine) Report() []byte {
	renderer := "ANGLE (NVIDIA, GeForce)"
	if m.Software {
		renderer = "ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device))"
	}
	components := fmt.Sprintf(
		`{"platform":{"value":%s,"duration":0},"canvas":{"value":{"geometry":%s},"duration":3},"osCpu":{"duration":0},"fonts":{"error":{"message":"x"},"duration":1},"webGlBasics":{"value":{"rendererUnmasked":%s},"duration":1}}`,
		quote(m.Platform), quote(m.Seed), quote(renderer))
	id, err := fingerprint.VisitorID([]byte(components))
	if err != nil {
		panic("fingerprinttest: the components above are wrong: " + err.Error())
	}
	return fmt.Appendf(nil, `{"webdriver":%t,"ids":{"local":%s,"idb":%s},"botd":{"bot":%t},"fpjs":{"visitorId":"%s","version":"5.2.0","confidence":{"score":1},"components":%s}}`,
		m.WebDriver, quote(m.Local), quote(m.Indexed), m.Bot, id, components)
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b)
}
