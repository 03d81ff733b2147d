// Package ipintel answers one question about an address: what is it? A datacenter, a Tor exit, a VPN, a privacy relay, a
// carrier's gateway, on a threat feed, and in which country. Everything is looked up in memory; live look-ups at outside
// services are signals of their own.
//
//	db, err := ipintel.OpenDatabase(ctx, ipintel.Origin{File: "GeoLite2-City.mmdb"}, nil)
//	lists, err := ipintel.NewLists([]ipintel.Source{
//		{Name: "tor", Kind: ipintel.Tor, MaxAge: 48 * time.Hour,
//			Origin: ipintel.Origin{URL: "https://check.torproject.org/torbulkexitlist"}},
//		{Name: "relay", Kind: ipintel.Relay,
//			Origin: ipintel.Origin{URL: "https://mask-api.icloud.com/egress-ip-ranges.csv"}},
//		{Name: "own", Kind: ipintel.Listed, AllowEmpty: true, Origin: ipintel.Origin{File: "own.txt"}},
//	}, &ipintel.ListsOptions{OnError: warn})
//	err = lists.Refresh(ctx) // what could not be loaded; the rest counts
//	go lists.Run(ctx)
//	go db.Run(ctx)
//	intel, err := ipintel.New(&ipintel.Options{Databases: []*ipintel.Database{db}, Lists: lists})
//	signal, err := ipintel.NewSignal(intel, nil) // for risk.NewEngine
//
//	info, err := intel.Lookup(addr) // without the engine
//	if info.Kinds.Has(ipintel.Tor) { ... }
//
// # Databases
//
// [Database] reads any file in MaxMind DB format and understands the schemas of MaxMind (City, Country, ASN, ISP,
// Connection-Type, Anonymous IP and Anonymous Plus, Enterprise), IPinfo (Lite, Core, Plus, location, ASN, privacy,
// residential proxy, carrier), DB-IP and ip-location-db; what it does not know it skips. A new version is verified as a
// whole before an atomic swap. [ASTable] reads ranges of autonomous systems in CSV form.
//
// # Lists
//
// [Lists] keeps lists and feeds in one prefix table; formats are at [FormatText], [FormatJSON] and [FormatASN]. An
// update that is truncated, malformed, a web page, empty, half gone, or lists a part of the Internet is refused and the
// last good one stays; [Lists.Status] tells its age and size.
//
// The package comes with no data. These are the publishers whose formats are tested. Licences change: read them at the
// source before use.
//
//   - Tor exits: https://check.torproject.org/torbulkexitlist and https://check.torproject.org/exit-addresses, by the
//     Tor Project; facts about public relays, no licence stated. Hourly is enough; give MaxAge two days.
//   - VPN and datacenter prefixes: https://github.com/X4BNet/lists_vpn, MIT. Tor exits: X4BNet/lists_torexit, no licence
//     file.
//   - Hosting AS numbers: https://github.com/brianhama/bad-asn-list, MIT, FormatASN.
//   - Spamhaus DROP (v4, v6, ASN): https://www.spamhaus.org/drop/drop_v4.json and siblings; free of charge with
//     attribution under Spamhaus's terms; at most once an hour, once a day is enough.
//   - FireHOL netsets: https://iplists.firehol.org; each list has the licence of its own publisher. firehol_level1 holds
//     private space too, which does not matter here: private addresses are on no list but Listed ones.
//   - AbuseIPDB blacklist: https://api.abuseipdb.com/api/v2/blacklist, key in the header "Key"; under AbuseIPDB's terms,
//     for one's own use; the free plan lists addresses of confidence 100 only.
//   - CrowdSec blocklists and decisions: https://app.crowdsec.net and the local API; under CrowdSec's terms.
//   - iCloud Private Relay: https://mask-api.icloud.com/egress-ip-ranges.csv, published by Apple for allow-listing; use it
//     with Kind Relay.
//   - Cloud providers: https://ip-ranges.amazonaws.com/ip-ranges.json, https://www.gstatic.com/ipranges/cloud.json,
//     published by AWS and Google for allow-listing; use them with Kind Hosting.
//   - GeoLite2 (MaxMind): account needed; GeoLite2 EULA: attribution, no resale, delete copies within 30 days of an
//     update. GeoIP2 databases: commercial.
//   - IPinfo Lite: account needed; CC BY-SA 4.0, attribution. Other IPinfo databases: commercial.
//   - DB-IP Lite: https://db-ip.com/db/lite.php, CC BY 4.0, attribution with a link.
//   - ip-location-db: https://github.com/sapics/ip-location-db: geo-whois-asn-country CC0, iptoasn PDDL, asn CC BY 4.0;
//     its GeoLite2 copies stay under the GeoLite2 EULA.
//
// # Places
//
// [Travel], [Comparable], [ZoneGap] and [OffsetGap] are pure functions: how fast somebody was who was in both places,
// whether two addresses may be compared at all, and how far apart two clocks are.
//
// # Security considerations
//
// A visitor chooses the form of an address: [Normal] brings IPv4-mapped and NAT64 forms and zones to one before
// anything is looked up. The address itself must come from a trusted proxy or the connection (package riskhttp).
//
// Many honest people share one address. Kinds that are shared without having been chosen, Relay and Carrier, cancel all
// else but Tor and the host's own lists ([Kind.Fair]), and cost nothing; so does Corporate. Whoever rents a mobile proxy
// profits from that; limits and devices have to find him. Say what a feed is honestly: a list of relays loaded as VPN
// accuses everybody who has an iPhone.
//
// A list is as trustworthy as its publisher and the way to it: plain http is refused. A poisoned list can still accuse
// whom it likes within the limits of size and breadth; the points are capped by the group "network", and no code of this
// package blocks by itself.
//
// Files and answers are bounded: feeds by bytes, lines, entries and breadth, databases by bytes and by verification,
// records by members and lengths. A database that passes verification cannot make a look-up read outside of it.
//
// A live look-up tells a third party each visitor's address. It is asked about public addresses only, never about those
// known as relays or carriers when [LiveOptions] has an Intel, and once per address and hour.
//
// # What it does not do
//
// It ships no data, downloads nothing unless told to, and follows no redirects. It does not unpack archives: MaxMind's
// downloads are tar.gz files for geoipupdate to unpack. It does not decide what a country means; a policy's rule does,
// for example one that names ip.country and phone.country.
package ipintel
