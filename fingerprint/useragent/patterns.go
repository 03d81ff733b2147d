package useragent

import "strings"

// builtin returns the patterns every checker has: general words first, then names of programs that have none of them.
func builtin() ([]pattern, error) {
	list := []pattern{
		// The telephones of a maker named Cubot are none.
		{text: "bot", wordEnd: true, not: "cu", kind: Crawler},
		{text: "bot_", not: "cu", kind: Crawler},
	}
	for _, l := range []struct {
		kind Kind
		text string
	}{{Tool, toolPatterns}, {Crawler, crawlerPatterns}, {Automation, automationPatterns}} {
		for line := range strings.SplitSeq(l.text, "\n") {
			if line == "" {
				continue
			}
			p, err := parsePattern(line, l.kind)
			if err != nil {
				return nil, err
			}
			list = append(list, p)
		}
	}
	return list, nil
}

// automationPatterns are browsers driven by programs.
const automationPatterns = `
headless
phantomjs
slimerjs
casperjs
selenium
webdriver
puppeteer
playwright
cypress/
splash version
zombie.js
nightmare
htmlunit
`

// toolPatterns are libraries and commands.
const toolPatterns = `
^curl/
libcurl
\bwget
python
aiohttp
httpx
urllib
^java/
okhttp
go-http-client
axios
node-fetch
^undici
^node$
^got\b
superagent
guzzle
^php/
^ruby
^perl
libwww-perl
lwp network
\blwp-
lwp::
httpclient
http-client
http_client
http client
httpunit
http_request
restsharp
rest-client
rest client
faraday
typhoeus
winhttp
winhttprequest
grpc-
postman
insomnia
^httpie
powershell
jersey/
apache-
microsoft-cryptoapi
dart:io
^dart/
aria2
lua-resty
reqwest
ktor-client
libhttp
fake_useragent
fakeuseragent
`

// crawlerPatterns are crawlers, monitors, previews, scanners and feed readers.
const crawlerPatterns = `
crawl
spider
scrape
slurp
\bfetch\b
-fetch
quiterss
fetcher
feedfetch
harvest
indexer
archive
_scanner
\bscanner
dnsscan
/scan\b
validator
checker
checklink
linkcheck
monitor\b
monitoring
sitemap
siteaudit
_audit
synthetic
lighthouse
\bptst/
\bagent\)
-agent\b
externalagent
analyzer
optimizer
optimize \(
-user/
camo \(
loadtime
subscriber
exporter/
classifier
link resolver
ssl server
imageproxy
uptime
preview
http://
https://
\+http
www.
\brss
feed
proxy\)
transcoder
robot
snapshot
github.com/
wechatdevtools
googleweblight
google-site-verification
googleother
google-agent
google-adwords
googlemessages
duplexweb-google
facebookcatalog
facebookexternal
facebookplatform
meta-external
whatsapp/
bluesky
duckduckgo/5 \(com.
ddg_android
downcast/
newsblur
reeder/
swcd \(
nuclei
masscan
zgrab
nmap
sqlmap
nikto
wpscan
dirbuster
gobuster
burpcollaborator
load_file
jobhunter
logic-apps
microsoft-flow
munin/
netcraft
clamav
kaspersky
keycdn
hwcdn
cloudflareobservatory
cloudflare-
cloudflare radar
datadog
splunk
newrelic
statuscake
thousandeyes
catchpoint
gomezagent
rigor\)
yottaamonitor
gotsitemonitor
siteimprove
dareboost
dejaclick
ruxit
pingdom
browser/2020
collapsify
pageburst
taginspector
marketgoo
scope3
sqwatcher
sucuri
securityheaders
foregenix
printfriendly
pwabuilder
zoterotranslation
zoom marketplace
discourse/
httrack
webcapture
webpurify
wget
outbrain
inoreader
theoldreader
twingly
postrank
binlar_
ips-agent
owler
sparkler
xtate
mixnode
firephp
dmbrowser
sogoumse
btwebclient
jetty/
w3c-mobileok
w3c_
hypem.com
acquia
visionheight
researchscan
exodusmovement
internetvista
cursor/3
godzilla/
vyhledavac
xaxis
rb.gy/
bit.ly/
pdrl.fm
\(hydra\)
`
