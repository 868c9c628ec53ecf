package main

import (
	"context"
	"encoding/base32"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"sekisho/internal/testenv"
)

// browser is a real one, on a phone's screen, that notes what it asked for and what went wrong in it.
type browser struct {
	t    *testing.T
	ctx  context.Context
	site *pagesSite
	name string // of its pictures

	mu     sync.Mutex
	faults []string
	hosts  map[string]bool
	acts   int // what the person did
}

// phoneWidth is that of the narrowest phone, in CSS pixels.
const phoneWidth = 320

func (s *pagesSite) browser(t *testing.T, lang string, dark bool) *browser {
	t.Helper()
	program := testenv.Need(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("lang", lang), chromedp.Flag("ignore-certificate-errors", true))
	all, stopAll := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, stop := chromedp.NewContext(all)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(func() { cancel(); stop(); stopAll() })
	b := &browser{t: t, ctx: ctx, site: s, name: lang, hosts: map[string]bool{}}
	scheme := "light"
	if dark {
		scheme, b.name = "dark", lang+"-dark"
	}
	chromedp.ListenTarget(ctx, func(ev any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := ev.(type) {
		case *network.EventRequestWillBeSent:
			if u, err := url.Parse(e.Request.URL); err == nil {
				b.hosts[u.Scheme+"://"+u.Host] = true
			}
		case *runtime.EventConsoleAPICalled:
			b.faults = append(b.faults, fmt.Sprint("console: ", e.Type))
		case *runtime.EventExceptionThrown:
			b.faults = append(b.faults, "exception: "+e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			if e.Entry.Level != log.LevelVerbose && !strings.Contains(e.Entry.Text, "status of 422") { // of a form that was not taken
				b.faults = append(b.faults, e.Entry.Text)
			}
		}
	})
	b.run(network.Enable(), log.Enable(), emulation.SetDeviceMetricsOverride(phoneWidth, 640, 2, true),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		network.SetExtraHTTPHeaders(network.Headers{"Accept-Language": lang}))
	return b
}

func (b *browser) run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		var page string
		_ = chromedp.Run(b.ctx, chromedp.Evaluate("document.location.pathname + '\\n' + document.body.innerText", &page))
		b.t.Fatalf("%v on the page %s", err, page)
	}
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.acts++
	b.run(chromedp.Navigate(b.site.home + strings.TrimPrefix(path, b.site.home)))
}

// fill types into the fields of a form and sends it; pairs are ids and texts. It waits for the page that has a selector.
func (b *browser) fill(then string, pairs ...string) {
	b.t.Helper()
	b.acts++
	for i := 0; i < len(pairs); i += 2 {
		b.run(chromedp.Evaluate("document.getElementById('"+pairs[i]+"').value = ''", nil), chromedp.SendKeys("#"+pairs[i], pairs[i+1], chromedp.ByQuery))
	}
	b.run(chromedp.Submit("#"+pairs[0], chromedp.ByQuery), chromedp.WaitReady(then, chromedp.ByQuery))
}

// pageChecks runs in the page and lists what a person would stumble over.
const pageChecks = `(() => {
  const bad = [];
  const seen = (e) => e.checkVisibility() && !e.closest('.away, .skip, [hidden]') && !e.matches('.skip');
  if (document.documentElement.scrollWidth > innerWidth) bad.push('wider than the screen: ' + document.documentElement.scrollWidth);
  if (!document.documentElement.lang) bad.push('no language');
  if (document.querySelectorAll('h1').length !== 1) bad.push('not one h1');
  for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
    if (!e.labels || !e.labels.length || !e.labels[0].textContent.trim()) bad.push('no label: ' + e.outerHTML);
  for (const e of document.querySelectorAll('button, .button, .ways a, input:not([type=hidden]):not([type=radio]):not([type=checkbox]), select, summary, label.check, nav a'))
    if (seen(e) && e.getBoundingClientRect().height < 43.5) bad.push('small target ' + e.getBoundingClientRect().height + ': ' + e.outerHTML.slice(0, 80));
  const light = (c) => { const [r, g, b] = c.match(/[\d.]+/g).map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$/.test(c) && c !== 'transparent') return c; } return 'rgb(255, 255, 255)'; };
  for (const e of document.querySelectorAll('body *')) {
    if (!seen(e) || ![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const [a, z] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (z + 0.05);
    if (ratio < 4.5) bad.push('contrast ' + ratio.toFixed(2) + ': ' + e.outerHTML.slice(0, 80));
  }
  const raw = document.body.innerText.match(/\b[a-z]+(\.[a-z]+)+\b/g);
  if (raw && raw.some((w) => !w.includes('example'))) bad.push('a key of the texts: ' + raw);
  return bad;
})()`

// look checks the page that is shown, and keeps a picture where SEKISHO_SHOTS names a folder.
func (b *browser) look(name string) {
	b.t.Helper()
	var bad []string
	b.run(chromedp.Evaluate(pageChecks, &bad))
	for _, x := range bad {
		b.t.Errorf("%s in %s: %s", name, b.name, x)
	}
	dir := os.Getenv("SEKISHO_SHOTS")
	if dir == "" {
		return
	}
	var picture []byte
	b.run(chromedp.FullScreenshot(&picture, 100))
	if err := os.WriteFile(filepath.Join(dir, name+"-"+b.name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// phone reads the secret of the page as an app would from the QR code beside it.
func (b *browser) phone() *phoneApp {
	b.t.Helper()
	var key string
	b.run(chromedp.AttributeValue("[data-copy]", "data-copy", &key, nil, chromedp.ByQuery))
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(key)
	if err != nil {
		b.t.Fatal(err)
	}
	return &phoneApp{t: b.t, seed: seed, last: time.Now().Unix()/30 - 2}
}

// done fails where the browser asked another host for anything, or complained.
func (b *browser) done() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.hosts, b.site.home)
	for host := range b.hosts {
		b.t.Errorf("B46: a page asked %s", host)
	}
	for _, f := range b.faults {
		b.t.Errorf("the browser complained in %s: %s", b.name, f)
	}
}

// TestPhone goes from the link of a mail to a verified device on a real browser, and then over every page: K1 to K12, P16, P17,
// B46. From the link to the device are five acts, as ecosystem.md counts them: open, password, scan, code, PIN.
func TestPhone(t *testing.T) {
	testenv.Need(t, "chromium")
	for _, lang := range []string{"ja", "en"} {
		for _, dark := range []bool{false, true} {
			t.Run(fmt.Sprint(lang, " dark ", dark), func(t *testing.T) {
				s := startPages(t, "  pledge: {ja: 認証情報を他の人に渡しません。, en: I give my credentials to nobody.}")
				b := s.browser(t, lang, dark)
				link := s.link(t, "alice")
				b.open(link)
				b.look("link")
				b.fill("form[action='/activate'] #code", "password", pagesPassword)
				b.look("secret")
				phone := b.phone()
				b.acts++ // the scan
				b.fill("#pin", "code", phone.next(), "device", "iPhone 15")
				b.look("pin-first")
				b.fill("a[href='/my/recovery']", "pin", "4711x", "pin2", "4711x")
				b.look("done")
				if b.acts != 5 {
					t.Errorf("from the link to the device it took %d acts, want 5", b.acts)
				}
				s.walk(b, phone)
				b.done()
			})
		}
	}
}

// walk opens every other page.
func (s *pagesSite) walk(b *browser, phone *phoneApp) {
	b.t.Helper()
	for _, p := range []string{"/my", "/my/add", "/my/register", "/my/pin", "/my/recovery", "/my/logins", "/my/sessions", "/temporary", "/token", "/apps", "/request"} {
		b.open(p)
		b.look(strings.ReplaceAll(strings.Trim(p, "/"), "/", "-"))
	}
	b.open("/my")
	b.run(chromedp.Click("a.second", chromedp.ByQuery), chromedp.WaitReady("form[action$='/block']", chromedp.ByQuery))
	b.look("device")
	b.open("/my/recovery")
	b.run(chromedp.Click("main button", chromedp.ByQuery), chromedp.WaitReady("code.big", chromedp.ByQuery))
	b.look("recovery-shown")
	b.open("/request")
	b.run(chromedp.Click("input[name=agree]", chromedp.ByQuery), chromedp.Click("main form > button", chromedp.ByQuery), chromedp.WaitReady("strong.big", chromedp.ByQuery))
	b.look("requested")
	b.open("/my")
	b.look("my-request")
	b.run(chromedp.Click("footer button", chromedp.ByQuery), chromedp.WaitReady("form[action='/signin']", chromedp.ByQuery))
	b.look("signin")
	b.fill(".problem", "name", "alice", "password", "wrong")
	b.look("signin-refused")
	for _, what := range []string{"lost", "deleted", "away"} {
		b.open("/help-me?what=" + what)
		if what == "lost" {
			b.look("help")
		}
		b.fill("main:not(:has(#password))", "name", "alice", "password", pagesPassword)
		b.look(what)
	}
	b.open("/help-me/lost")
	b.run(chromedp.Click("main form > button", chromedp.ByQuery), chromedp.WaitReady(".done", chromedp.ByQuery))
	b.look("lost-stopped")
}
