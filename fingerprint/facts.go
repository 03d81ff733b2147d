package fingerprint

// fact is a name without its window, and where its counts are.
type fact struct {
	name string
	of   func(s *Sighting) (*Seen, *Counts)
}

// spans are what the windows are called.
var spans = [3]string{"1h", "24h", "7d"}

// velocityFacts are the counted facts; names has three for each, in order.
var velocityFacts = []fact{
	{"device", func(s *Sighting) (*Seen, *Counts) { return &s.Device, &s.Device.Attempts }},
	{"deviceIPs", func(s *Sighting) (*Seen, *Counts) { return &s.Device, &s.Device.IPs }},
	{"deviceAccounts", func(s *Sighting) (*Seen, *Counts) { return &s.Device, &s.Device.Accounts }},
	{"devicePhones", func(s *Sighting) (*Seen, *Counts) { return &s.Device, &s.Device.Phones }},
	{"printDevices", func(s *Sighting) (*Seen, *Counts) { return &s.Print, &s.Print.Devices }},
	{"similar", func(s *Sighting) (*Seen, *Counts) { return &s.Similar, &s.Similar.Attempts }},
	{"similarAccounts", func(s *Sighting) (*Seen, *Counts) { return &s.Similar, &s.Similar.Accounts }},
	{"ip", func(s *Sighting) (*Seen, *Counts) { return &s.IP, &s.IP.Attempts }},
	{"ipDevices", func(s *Sighting) (*Seen, *Counts) { return &s.IP, &s.IP.Devices }},
	{"ipAccounts", func(s *Sighting) (*Seen, *Counts) { return &s.IP, &s.IP.Accounts }},
	{"phone", func(s *Sighting) (*Seen, *Counts) { return &s.Phone, &s.Phone.Attempts }},
	{"phoneDevices", func(s *Sighting) (*Seen, *Counts) { return &s.Phone, &s.Phone.Devices }},
	{"phoneAccounts", func(s *Sighting) (*Seen, *Counts) { return &s.Phone, &s.Phone.Accounts }},
	{"email", func(s *Sighting) (*Seen, *Counts) { return &s.Email, &s.Email.Attempts }},
	{"emailDevices", func(s *Sighting) (*Seen, *Counts) { return &s.Email, &s.Email.Devices }},
	{"emailIPs", func(s *Sighting) (*Seen, *Counts) { return &s.Email, &s.Email.IPs }},
	{"account", func(s *Sighting) (*Seen, *Counts) { return &s.Account, &s.Account.Attempts }},
	{"accountDevices", func(s *Sighting) (*Seen, *Counts) { return &s.Account, &s.Account.Devices }},
	{"accountIPs", func(s *Sighting) (*Seen, *Counts) { return &s.Account, &s.Account.IPs }},
	{"business", func(s *Sighting) (*Seen, *Counts) { return &s.Business, &s.Business.Attempts }},
	{"businessDevices", func(s *Sighting) (*Seen, *Counts) { return &s.Business, &s.Business.Devices }},
	{"businessAccounts", func(s *Sighting) (*Seen, *Counts) { return &s.Business, &s.Business.Accounts }},
}

// factNames are made once: making them for each attempt would cost more than counting.
var factNames = func() (names [][3]string) {
	for _, f := range velocityFacts {
		names = append(names, [3]string{f.name + spans[0], f.name + spans[1], f.name + spans[2]})
	}
	return names
}()
