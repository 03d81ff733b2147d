package risk_test

import (
	"slices"
	"time"

	"github.com/vestibule-go/vestibule/risk"
)

// The model's full run: who is asked, what flows keep, what comes out.

// modelKept is what a flow keeps of a signal's findings.
type modelKept struct {
	degrees map[int]float64
	facts   map[int]risk.Value
	proofs  modelSet
	retry   time.Time
	receipt bool
}

// modelFlow is a challenged attempt.
type modelFlow struct {
	required modelSet
	kept     map[int]*modelKept
	spent    bool
}

// modelResult is all of an assessment that rules decide.
type modelResult struct {
	action   risk.Action
	level    string
	require  modelSet
	until    time.Time
	judged   modelJudged
	errors   []string
	unused   []string
	required modelSet   // given or not
	brute    bool       // level and what follows are exact
	unsure   bool       // not even who is asked is certain
	flow     *modelFlow // the flow after it
}

// modelRun is one attempt in progress.
type modelRun struct {
	w      *modelWorld
	seg    *modelSegment
	s      *modelScript
	scene  *modelScene
	kept   modelSet
	given  modelSet
	retry  time.Time
	erring []bool
	heard  map[int]*modelKept
	void   bool
}

func (w *modelWorld) segmentOf(s *modelScript) *modelSegment {
	if len(w.segs) == 2 && s.event == risk.Login {
		return &w.segs[0]
	}
	return &w.segs[len(w.segs)-1]
}

func (w *modelWorld) newRun(s *modelScript) *modelRun {
	return &modelRun{w: w, seg: w.segmentOf(s), s: s, scene: w.newScene(s), erring: make([]bool, len(w.descs)), heard: map[int]*modelKept{}}
}

// ask asks signal i.
func (r *modelRun) ask(i int) {
	say := &r.s.says[i]
	switch say.kind {
	case "none":
		return
	case "errs", "lies":
		r.erring[i] = true
		return
	}
	k := &modelKept{degrees: map[int]float64{}, facts: map[int]risk.Value{}, proofs: modelSetOf(say.proofs), retry: say.retry, receipt: say.receipt != ""}
	for _, c := range say.codes {
		k.degrees[c.code] = max(k.degrees[c.code], c.degree)
	}
	for _, f := range say.facts {
		k.facts[f.fact] = f.value
	}
	r.heard[i] = k
	r.hear(k)
}

func (r *modelRun) hear(k *modelKept) {
	for c, d := range k.degrees {
		r.scene.degrees[c] = max(r.scene.degrees[c], d)
	}
	for f, v := range k.facts {
		r.scene.facts[f] = v
	}
	r.given |= k.proofs
	if k.retry.After(r.retry) {
		r.retry = k.retry
	}
}

func (r *modelRun) provided() modelSet {
	if r.void {
		return 0
	}
	return r.given
}

// can is what healthy signals can give and the client does not rule out.
func (r *modelRun) can() (can modelSet) {
	for i, d := range r.w.descs {
		if !r.erring[i] {
			can |= modelSetOf(d.Proofs)
		}
	}
	return can & r.seg.offers &^ modelSetOfPlain(r.s.cannot)
}

// full runs the attempt with every signal asked that the step-up gate lets through. note is a code of the signal flow.
func (w *modelWorld) full(s *modelScript, flow *modelFlow, note string) modelResult {
	r := w.newRun(s)
	var out modelResult
	if flow != nil && flow.spent {
		flow, note, r.void = nil, "spent", true
	}
	if note != "" {
		r.scene.degrees[slices.IndexFunc(w.codes, func(c modelCode) bool { return c.full == "flow."+note })] = 1
	}
	silent := map[int]bool{} // the flow keeps what they said
	if flow != nil {
		r.kept = flow.required
		for _, k := range flow.kept {
			r.hear(k)
		}
		for i := range flow.kept {
			silent[i] = modelSetOf(w.descs[i].Proofs)&r.kept&^r.given == 0
		}
	}
	var costly []int
	for i := 1; i < len(w.descs); i++ {
		switch {
		case silent[i]:
		case s.says[i].kind == "none":
			out.unused = append(out.unused, w.descs[i].Name)
		case w.descs[i].Cost == risk.Costly:
			costly = append(costly, i)
		default:
			r.ask(i)
		}
	}
	before := w.answer(r.seg, r.scene, r.erring, r.kept)
	out.brute = before.brute
	out.unsure = len(costly) > 0 && slices.Contains(r.erring, true) && !(before.brute && w.shape.exact)
	missing := before.required &^ r.provided()
	for _, i := range costly {
		if before.level > 0 || modelSetOf(w.descs[i].Proofs)&missing != 0 {
			r.ask(i)
		} else {
			out.unused = append(out.unused, w.descs[i].Name)
		}
	}
	a := w.answer(r.seg, r.scene, r.erring, r.kept)
	out.brute = out.brute && a.brute
	r.finish(&out, a, flow)
	return out
}

// finish fixes the action and the flow.
func (r *modelRun) finish(out *modelResult, a modelAnswer, flow *modelFlow) {
	w := r.w
	l := &r.seg.levels[a.level]
	out.level, out.required = l.name, a.required
	out.action, out.require = l.answer(a.required, r.provided(), r.can())
	if out.action == risk.Allow && r.retry.After(modelNow) {
		out.action = risk.Wait
	}
	if out.action == risk.Delay || out.action == risk.Lock {
		out.until = modelNow.Add(l.lasts)
	}
	if r.retry.After(modelNow) && r.retry.After(out.until) {
		out.until = r.retry
	}
	out.judged = w.judge(r.seg, r.scene, r.erring, true)
	for i, e := range r.erring {
		if e {
			out.errors = append(out.errors, w.descs[i].Name)
		}
	}
	slices.Sort(out.errors)
	slices.Sort(out.unused)
	out.flow = r.keep(flow, out)
}

// keep is the flow after the attempt.
func (r *modelRun) keep(flow *modelFlow, out *modelResult) *modelFlow {
	if out.action != risk.Challenge && (out.action != risk.Wait || flow == nil) {
		if flow == nil {
			return nil
		}
		return &modelFlow{spent: true}
	}
	next := &modelFlow{required: out.required, kept: map[int]*modelKept{}}
	if flow != nil {
		for i, k := range flow.kept {
			next.kept[i] = k
		}
	}
	for i, k := range r.heard {
		if r.w.descs[i].Counts && !k.receipt {
			continue // not charged: asked again
		}
		if r.void {
			k.proofs = 0
		}
		old := next.kept[i]
		if old == nil {
			next.kept[i] = k
			continue
		}
		both := &modelKept{degrees: map[int]float64{}, facts: map[int]risk.Value{}, proofs: old.proofs | k.proofs, retry: old.retry}
		if k.retry.After(both.retry) {
			both.retry = k.retry
		}
		for _, f := range []*modelKept{old, k} {
			for c, d := range f.degrees {
				both.degrees[c] = max(both.degrees[c], d)
			}
			for c, v := range f.facts {
				both.facts[c] = v
			}
		}
		next.kept[i] = both
	}
	return next
}
