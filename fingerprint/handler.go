package fingerprint

import (
	_ "embed"
	"encoding/json"
	"io"
	"net/http"

	"github.com/vestibule-go/vestibule/internal/webanswer"
)

//go:embed static/device.js
var deviceScript string

// Script serves the page's script. The page loads it with the path of [Devices.Handler] and, once the visitor has
// agreed or nobody must ask, with the level; "ask" as the level, here or at the input, asks the server:
//
//	<script src="/device.js" data-endpoint="/device" data-level="active" defer></script>
//	<input type="hidden" name="device">
//
// It keeps the device id in localStorage and IndexedDB beside the cookie, restores what is lost, runs FingerprintJS,
// ThumbmarkJS and BotD where the page has loaded them (globals FingerprintJS, ThumbmarkJS, Botd), and writes the report
// into the form's input. Where the visitor has to be asked it shows the page's element [data-device-consent], which holds
// the question and buttons with the values "yes" and "no". At another level it deletes its copies and collects nothing.
func Script() http.Handler {
	return webanswer.Script("device.js", deviceScript)
}

// Handler answers the page's script, for POST. With {"consent": true or false} it keeps the visitor's answer. With
// {"local": "...", "idb": "..."} it answers {"level": "active", "id": "..."}: the id to keep in all places, one of those
// shown or a new one; at level Passive {"level": "passive"}, and no id, with "ask": "yes" when the visitor has to be asked.
// Requests of other origins are refused.
func (d *Devices) Handler() http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if !webanswer.Posted(w, r) {
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<10))
		if err != nil {
			webanswer.Problem(w, http.StatusRequestEntityTooLarge, "The request could not be read.")
			return
		}
		list, err := members(body)
		if err != nil {
			webanswer.Problem(w, http.StatusBadRequest, "Send a JSON object.")
			return
		}
		level := d.Level(r)
		switch answer := get(list, "consent"); string(answer) {
		case "true", "false":
			d.SetConsent(w, flag(answer))
			level = Passive
			if flag(answer) && !d.o.SkipActive {
				level = Active
			}
		}
		out := map[string]string{"level": "passive"}
		if d.MustAsk(r) && get(list, "consent") == nil {
			out["ask"] = "yes"
		}
		if level == Active {
			out["level"], out["id"] = "active", d.issue(w, r, list)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // the client is gone
	}))
}

// issue finds the device's id among the places where it may be, or makes one, and renews the cookie.
func (d *Devices) issue(w http.ResponseWriter, r *http.Request, list []member) string {
	tenant, now := d.tenant(r), d.o.Now()
	local, _ := text(get(list, "local"), 256) // no text: none
	indexed, _ := text(get(list, "idb"), 256)
	id := ""
	for _, shown := range []string{d.cookie(r, d.o.Cookie), local, indexed} {
		if readID(d.ring, tenant, shown, now, d.o.MaxAge) == idValid {
			id = shown
			break
		}
	}
	if id == "" {
		id = newID(d.ring, tenant, now)
	}
	d.setCookie(w, d.o.Cookie, id, true)
	return id
}
