package fingerprint_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprinttest"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/risktest"
)

// challenge is how many points beyond the base reach a challenge.
const challenge = 31 - 12

func sum(codes map[string]int) (n int) {
	for _, p := range codes {
		n += p
	}
	return n
}

var (
	desktop = fingerprinttest.Machine{Platform: "Win32", Seed: "desktop"}
	iphone  = fingerprinttest.Machine{Platform: "iPhone", Seed: "iPhone 15"}
)

// TestConsent: a refusal costs no point, at any visit, whatever is sent along.
func TestConsent(t *testing.T) {
	s := newSite(t, fingerprint.AskEverybody)
	forged := fingerprinttest.Machine{Platform: "Win32", Seed: "x", Local: "v1.forged", WebDriver: true, Bot: true}
	for _, client := range fingerprinttest.Browsers() {
		for i := range 3 {
			codes, got := s.visit(visitor{client: client, report: forged.Report(), cookie: "rubbish", ip: fmt.Sprintf("192.0.2.%d", 10+i)})
			require.Empty(t, codes, "%s, visit %d", client.Name, i)
			require.True(t, got.Allowed())
		}
	}
	a := s.attempt(visitor{client: fingerprinttest.Chrome(), report: desktop.Report()})
	require.Empty(t, a.Device, "no tag without consent")
	e, ok := risk.Evidence[fingerprint.Evidence](a)
	require.True(t, ok)
	require.Equal(t, fingerprint.Passive, e.Level)
	require.True(t, e.Token.Zero())
}

// TestFalsePositives keeps the table in the package's documentation true.
func TestFalsePositives(t *testing.T) {
	machine := map[string]fingerprinttest.Machine{
		"Chrome 156 on Windows":  desktop,
		"Chrome 156 on Android":  {Platform: "Linux armv81", Seed: "phone"},
		"Firefox 153 on Linux":   {Platform: "Linux x86_64", Seed: "linux"},
		"Safari 18 on an iPhone": iphone,
	}
	t.Run("first visit", func(t *testing.T) {
		for _, client := range fingerprinttest.Browsers() {
			s := newSite(t, fingerprint.AskNobody)
			id, _ := s.newID(`{}`)
			codes, got := s.visit(visitor{client: client, cookie: id, report: machine[client.Name].Report()})
			require.Equal(t, 4, sum(codes), "%s: %v", client.Name, codes)
			require.True(t, got.Allowed())
		}
	})
	t.Run("iPhones of one model", func(t *testing.T) {
		s := newSite(t, fingerprint.AskNobody)
		for i := range 31 {
			codes, _ := s.visit(visitor{client: fingerprinttest.IPhone(), report: iphone.Report(), ip: fmt.Sprintf("203.0.113.%d", i)})
			require.Zero(t, sum(codes), "the %d. iPhone: %v", i+1, codes)
			require.NotContains(t, codes, "device.farm")
			require.NotContains(t, codes, "device.shared")
			require.Contains(t, codes, "device.low_confidence")
		}
	})
	t.Run("old proxy", func(t *testing.T) {
		s := newSite(t, fingerprint.AskNobody)
		client := fingerprinttest.Chrome()
		for name := range client.Header {
			if len(name) > 4 && name[:4] == "Sec-" {
				client.Header.Del(name)
			}
		}
		id, _ := s.newID(`{}`)
		codes, _ := s.visit(visitor{client: client, cookie: id, report: desktop.Report()})
		require.Equal(t, 10, sum(codes), "%v", codes)
	})
	t.Run("software that ends TLS", func(t *testing.T) {
		s := newSite(t, fingerprint.AskNobody)
		client := fingerprinttest.Chrome()
		client.JA4 = "t13d1211h1_0123456789ab_0123456789ab"
		id, _ := s.newID(`{}`)
		codes, _ := s.visit(visitor{client: client, cookie: id, report: desktop.Report()})
		require.Equal(t, 7, sum(codes), "%v", codes)
	})
	t.Run("virtual machine", func(t *testing.T) {
		s := newSite(t, fingerprint.AskNobody)
		m := desktop
		m.Software = true
		id, _ := s.newID(`{}`)
		codes, _ := s.visit(visitor{client: fingerprinttest.Chrome(), cookie: id, report: m.Report()})
		require.Equal(t, 6, sum(codes), "%v", codes)
	})
	t.Run("household and classroom", func(t *testing.T) {
		s := newSite(t, fingerprint.AskNobody)
		id, _ := s.newID(`{}`)
		var codes map[string]int
		for i := range 4 {
			s.clock.advance(30 * time.Hour / 4)
			codes, _ = s.visit(visitor{client: fingerprinttest.Chrome(), cookie: id, report: desktop.Report(), email: fmt.Sprintf("pupil%d@example.com", i)})
			if i == 1 {
				require.Equal(t, 3, sum(codes), "%v", codes)
			}
		}
		require.Contains(t, codes, "device.shared")
		require.Less(t, codes["device.shared"], challenge)
	})
}

func TestFarm(t *testing.T) {
	s := newSite(t, fingerprint.AskNobody)
	var codes map[string]int
	for i := range 5 {
		codes, _ = s.visit(visitor{client: fingerprinttest.Chrome(), report: desktop.Report(), ip: fmt.Sprintf("203.0.113.%d", i)})
	}
	require.Contains(t, codes, "device.farm")
	require.Contains(t, codes, "velocity.high")
	require.NotContains(t, codes, "device.shared")
	require.GreaterOrEqual(t, sum(codes), challenge)
}

func TestFarmOfTelephones(t *testing.T) {
	s := newSite(t, fingerprint.AskNobody)
	var codes map[string]int
	for range 41 { // the same network, User-Agent and TLS library
		codes, _ = s.visit(visitor{client: fingerprinttest.IPhone(), report: iphone.Report()})
	}
	require.Contains(t, codes, "device.shared", "forty of one model in one network")
}

// TestCollectorCodes: one thing with many others, up to what is ordinary and one more.
func TestCollectorCodes(t *testing.T) {
	const most, network = 4, 30
	for name, c := range map[string]struct {
		most int
		code string
		set  func(i int, a *risk.Attempt)
	}{
		"an account on many devices": {most, "velocity.collector", func(i int, a *risk.Attempt) {
			a.Account, a.Device = "account", []string{fmt.Sprint("device", i)}
		}},
		"an address on many devices": {most, "velocity.collector", func(i int, a *risk.Attempt) {
			a.Email, a.Device = "one@example.com", []string{fmt.Sprint("device", i)}
		}},
		"a number on many devices": {most, "velocity.collector", func(i int, a *risk.Attempt) {
			a.Phone, a.Device = "+15550100000", []string{fmt.Sprint("device", i)}
		}},
		"a device with many numbers": {most, "velocity.collector", func(i int, a *risk.Attempt) {
			a.Phone, a.Device = risk.Private(fmt.Sprintf("+155501%05d", i)), []string{"device"}
		}},
		"a network of many devices": {network, "velocity.devices", func(i int, a *risk.Attempt) {
			a.IP, a.Device = netip.MustParseAddr("192.0.2.1"), []string{fmt.Sprint("device", i)}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, fingerprint.AskNobody)
			for i := range c.most + 1 {
				a := &risk.Attempt{Event: risk.SignUp, Channel: risk.ChannelMobile, Time: s.clock.now()}
				c.set(i, a)
				codes := codesOf(s.engine.Assess(t.Context(), a))
				require.Equal(t, i == c.most, codes[c.code] != 0, "the %d.: %v", i+1, codes)
			}
		})
	}
}

func TestClonedAndWiped(t *testing.T) {
	s := newSite(t, fingerprint.AskNobody)
	id, _ := s.newID(`{}`)
	var codes map[string]int
	for i := range 10 {
		codes, _ = s.visit(visitor{client: fingerprinttest.Chrome(), cookie: id, report: desktop.Report(), ip: fmt.Sprintf("203.0.113.%d", i), email: "one@example.com"})
		require.Equal(t, i == 9, codes["device.cloned"] != 0, "network %d: %v", i, codes)
	}
	second, _ := s.newID(`{}`)
	require.NotEqual(t, id, second)
	codes, _ = s.visit(visitor{client: fingerprinttest.Chrome(), cookie: second, report: desktop.Report()})
	require.Contains(t, codes, "device.wiped")
	require.Contains(t, codes, "device.new")
	third := newSite(t, fingerprint.AskNobody)
	id, _ = third.newID(`{}`)
	codes, _ = third.visit(visitor{client: fingerprinttest.Chrome(), cookie: id, report: desktop.Report()})
	require.NotContains(t, codes, "device.wiped", "a new device")
}

func TestDeviceCodes(t *testing.T) {
	s := newSite(t, fingerprint.AskNobody)
	mine, _ := s.newID(`{}`)
	other, _ := s.newID(`{}`)
	expired := newSite(t, fingerprint.AskNobody)
	expired.clock.advance(-401 * 24 * time.Hour)
	old, _ := expired.newID(`{}`)
	with := func(change func(m *fingerprinttest.Machine)) []byte {
		m := desktop
		change(&m)
		return m.Report()
	}
	flip := func(id string, i int) string {
		b := []byte(id)
		if b[i] == 'A' {
			b[i] = 'B'
		} else {
			b[i] = 'A'
		}
		return string(b)
	}
	for name, c := range map[string]struct {
		cookie string
		report []byte
		want   string // "": none but new
	}{
		"no id":            {"", desktop.Report(), ""},
		"in all places":    {mine, with(func(m *fingerprinttest.Machine) { m.Local, m.Indexed = mine, mine }), ""},
		"other storage":    {mine, with(func(m *fingerprinttest.Machine) { m.Local = other }), "device.mismatch"},
		"other IndexedDB":  {mine, with(func(m *fingerprinttest.Machine) { m.Indexed = other }), "device.mismatch"},
		"forged random":    {flip(mine, 5), nil, "device.forged"},
		"forged time":      {flip(mine, len("v1.")+26), nil, "device.forged"},
		"forged signature": {flip(mine, len(mine)-10), nil, "device.forged"},
		"spliced":          {mine[:len("v1.")+28] + other[len("v1.")+28:], nil, "device.forged"},
		"cut":              {mine[:len(mine)-1], nil, "device.forged"},
		"longer":           {mine + "A", nil, "device.forged"},
		"other version":    {"v2" + mine[2:], nil, "device.forged"},
		"rubbish":          {"x", nil, "device.forged"},
		"forged storage":   {mine, with(func(m *fingerprinttest.Machine) { m.Local = "rubbish" }), "device.forged"},
		"expired":          {old, desktop.Report(), ""},
		"no JSON":          {mine, []byte(`{"fpjs":`), "device.malformed"},
		"webdriver":        {mine, with(func(m *fingerprinttest.Machine) { m.WebDriver = true }), "device.webdriver"},
		"bot":              {mine, with(func(m *fingerprinttest.Machine) { m.Bot = true }), "device.headless"},
		"other platform":   {mine, with(func(m *fingerprinttest.Machine) { m.Platform = "Linux x86_64" }), "device.platform_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			fresh := newSite(t, fingerprint.AskNobody)
			codes, _ := fresh.visit(visitor{client: fingerprinttest.Chrome(), cookie: c.cookie, report: c.report})
			delete(codes, "device.new")
			if c.want == "" {
				require.Empty(t, codes)
				return
			}
			require.Contains(t, codes, c.want)
		})
	}
	fresh := newSite(t, fingerprint.AskNobody)
	report := desktop.Report()
	at := len(report) - 30
	for report[at] != 's' { // somewhere in the components
		at--
	}
	report[at] = 'z'
	codes, _ := fresh.visit(visitor{client: fingerprinttest.Chrome(), report: report})
	require.True(t, codes["device.inconsistent"] != 0 || codes["device.malformed"] != 0, "%v", codes)
}

func TestConform(t *testing.T) {
	s := newSite(t, fingerprint.AskNobody)
	id, _ := s.newID(`{}`)
	attempts := []*risk.Attempt{
		s.attempt(visitor{client: fingerprinttest.Chrome(), cookie: id, report: desktop.Report()}),
		s.attempt(visitor{client: fingerprinttest.IPhone(), report: iphone.Report()}),
		{Event: risk.SignUp, Phone: "+15550100", IDs: map[string]risk.Private{"usdot": "1"}, Device: []string{"tag"}},
	}
	velocity, err := fingerprint.NewVelocity(newSightings(t, newMemory(t, nil), nil), nil)
	require.NoError(t, err)
	require.NoError(t, risktest.Conform(velocity, attempts...))
	device, err := fingerprint.NewSignal(nil)
	require.NoError(t, err)
	require.NoError(t, risktest.Conform(device, attempts...))
}

func TestOtherEvents(t *testing.T) {
	velocity, err := fingerprint.NewVelocity(newSightings(t, newMemory(t, nil), nil), nil)
	require.NoError(t, err)
	require.False(t, velocity.Applies(&risk.Attempt{Event: risk.Login}))
	require.True(t, velocity.Applies(&risk.Attempt{Event: risk.SignUp}))
	device, err := fingerprint.NewSignal(nil)
	require.NoError(t, err)
	require.False(t, device.Applies(&risk.Attempt{Event: risk.SignUp}), "nothing to look at")
}

func TestSharedNetwork(t *testing.T) {
	s := newSite(t, fingerprint.AskEverybody)
	var codes map[string]int
	for i := range 21 {
		codes, _ = s.visit(visitor{client: fingerprinttest.Chrome(), ip: "198.51.100.1"})
		require.Equal(t, i == 20, codes["velocity.ip"] != 0, "account %d", i+1)
	}
	require.Less(t, sum(codes), challenge)
	a := s.attempt(visitor{client: fingerprinttest.Chrome()})
	a.IP = netip.Addr{}
	require.Empty(t, s.engine.Assess(t.Context(), a).Errors)
	_, err := fingerprint.NewDevices(nil, fingerprint.AskNobody, nil)
	require.Error(t, err)
	_, err = fingerprint.NewDevices(newRing(t, 0, nil, "k"), nil, nil)
	require.ErrorContains(t, err, "AskEverybody")
	for _, o := range []*fingerprint.DevicesOptions{{MaxAge: time.Minute}, {MaxAge: 500 * 24 * time.Hour}, {Cookie: "a b"}, {ConsentCookie: "ä;"}} {
		_, err = fingerprint.NewDevices(newRing(t, 0, nil, "k"), fingerprint.AskNobody, o)
		require.Error(t, err)
	}
}
