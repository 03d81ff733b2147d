package identity

import "strings"

// set makes a set of words. Sets are read only once made.
func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// typos are domains nobody means, as MaxMind lists them.
var typos = map[string]string{
	"gmai.com": "gmail.com", "gamil.com": "gmail.com", "gmali.com": "gmail.com", "gmial.com": "gmail.com", "gmil.com": "gmail.com",
	"gmaill.com": "gmail.com", "gmailm.com": "gmail.com", "gmailo.com": "gmail.com", "gmailyhoo.com": "gmail.com",
	"yahoogmail.com": "gmail.com", "putlook.com": "outlook.com",
}

// equivalents are other names of one provider: the same mailbox under each.
var equivalents = map[string]string{
	"googlemail.com": "gmail.com",
	"pm.me":          "protonmail.com", "proton.me": "protonmail.com",
	"yandex.by": "yandex.ru", "yandex.com": "yandex.ru", "yandex.kz": "yandex.ru", "yandex.ua": "yandex.ru", "ya.ru": "yandex.ru",
}

// yahoo has the domains of Yahoo, whose aliases follow a "-".
var yahoo = set(`
y7mail.com yahoo.at yahoo.be yahoo.bg yahoo.ca yahoo.cl yahoo.co.id yahoo.co.il yahoo.co.in yahoo.co.kr yahoo.co.nz
yahoo.co.th yahoo.co.uk yahoo.co.za yahoo.com yahoo.com.ar yahoo.com.au yahoo.com.br yahoo.com.co yahoo.com.hk
yahoo.com.hr yahoo.com.mx yahoo.com.my yahoo.com.pe yahoo.com.ph yahoo.com.sg yahoo.com.tr yahoo.com.tw yahoo.com.ua
yahoo.com.ve yahoo.com.vn yahoo.cz yahoo.de yahoo.dk yahoo.ee yahoo.es yahoo.fi yahoo.fr yahoo.gr yahoo.hu yahoo.ie
yahoo.in yahoo.it yahoo.lt yahoo.lv yahoo.nl yahoo.no yahoo.pl yahoo.pt yahoo.ro yahoo.se yahoo.sk ymail.com myyahoo.com
`)

// fastmail has the domains under which Fastmail's users get sub-domains of their own.
var fastmail = set(`
123mail.org 150mail.com 150ml.com 16mail.com 2-mail.com 4email.net 50mail.com airpost.net allmail.net bestmail.us
cluemail.com elitemail.org emailcorner.net emailengine.net emailengine.org emailgroups.net emailplus.org emailuser.net
eml.cc f-m.fm fast-email.com fast-mail.org fastem.com fastemail.us fastemailer.com fastest.cc fastimap.com fastmail.cn
fastmail.co.uk fastmail.com fastmail.com.au fastmail.de fastmail.es fastmail.fm fastmail.fr fastmail.im fastmail.in
fastmail.jp fastmail.mx fastmail.net fastmail.nl fastmail.org fastmail.se fastmail.to fastmail.tw fastmail.uk
fastmail.us fastmailbox.net fastmessaging.com fea.st fmail.co.uk fmailbox.com fmgirl.com fmguy.com ftml.net h-mail.us
hailmail.net imap-mail.com imap.cc imapmail.org inoutbox.com internet-e-mail.com internet-mail.org internetemails.net
internetmailing.net jetemail.net justemail.net letterboxes.org mail-central.com mail-page.com mailandftp.com mailas.com
mailbolt.com mailc.net mailcan.com mailforce.net mailftp.com mailhaven.com mailingaddress.org mailite.com mailmight.com
mailnew.com mailsent.net mailservice.ms mailup.net mailworks.org ml1.net mm.st myfastmail.com mymacmail.com
nospammail.net ownmail.net petml.com postinbox.com postpro.net proinbox.com promessage.com realemail.net reallyfast.biz
reallyfast.info rushpost.com sent.as sent.at sent.com speedpost.net speedymail.org ssl-mail.com swift-mail.com
the-fastest.net the-quickest.com theinternetemail.com veryfast.biz veryspeedy.net warpmail.net xsmail.com yepmail.net
your-mail.com
`)

// relays has the domains of services that forward mail to a mailbox they keep secret, for people who have one: iCloud
// Hide My Email and Sign in with Apple, Firefox Relay, SimpleLogin and Proton Pass, DuckDuckGo, addy.io. iCloud+ gives
// addresses of icloud.com itself, which cannot be told apart.
var relays = set(`
privaterelay.appleid.com private.icloud.com mozmail.com relay.firefox.com duck.com
simplelogin.co simplelogin.com simplelogin.fr simplelogin.io aleeas.com slmail.me slmails.com silomails.com 8alias.com
8shield.net dralias.com passmail.net passmail.com passinbox.com passfwd.com
addy.io anonaddy.com anonaddy.me addymail.com
`)

// free has the large providers at which anybody gets a mailbox for nothing.
var free = set(`
gmail.com googlemail.com outlook.com outlook.de outlook.es outlook.fr outlook.it hotmail.com hotmail.co.uk hotmail.de
hotmail.es hotmail.fr hotmail.it hotmail.no hotmail.se live.com live.co.uk live.ca live.de live.dk live.fr live.it
live.nl live.no live.se msn.com passport.com rocketmail.com aol.com aol.co.uk aol.de aim.com icloud.com me.com mac.com
proton.me protonmail.com protonmail.ch pm.me tutanota.com tutanota.de tuta.io tutamail.com tuta.com keemail.me gmx.com
gmx.net gmx.de gmx.at gmx.ch gmx.us gmx.co.uk mail.com web.de freenet.de t-online.de email.de zoho.com zohomail.com
zohomail.eu mail.ru bk.ru inbox.ru list.ru internet.ru yandex.ru yandex.com yandex.by yandex.kz yandex.ua ya.ru
rambler.ru ukr.net i.ua qq.com foxmail.com 163.com 126.com yeah.net sina.com sina.cn sohu.com 139.com 189.cn aliyun.com
naver.com hanmail.net daum.net kakao.com nate.com libero.it virgilio.it tiscali.it alice.it tin.it orange.fr wanadoo.fr
laposte.net free.fr sfr.fr neuf.fr seznam.cz centrum.cz email.cz azet.sk zoznam.sk wp.pl o2.pl interia.pl onet.pl
op.pl abv.bg mail.bg uol.com.br bol.com.br terra.com.br ig.com.br rediffmail.com inbox.lv mail.ee hushmail.com
mailfence.com runbox.com posteo.de mailbox.org disroot.org riseup.net att.net comcast.net verizon.net sbcglobal.net
bellsouth.net cox.net btinternet.com sky.com ntlworld.com bigpond.com optusnet.com.au online.no telia.com
`)
