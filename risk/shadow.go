package risk

// judgeShadows judges the same findings under the shadow policies. Nothing they do reaches the answer.
func (r *run) judgeShadows(shadows []*compiled) {
	for _, c := range shadows {
		r.out.Shadow = append(r.out.Shadow, r.shadow(c))
	}
}

// shadow judges this attempt under another policy. What the live policy left unasked counts as open: signals skipped,
// and costly ones it did not need.
func (r *run) shadow(c *compiled) (res ShadowResult) {
	res.Policy = PolicyRef{Name: c.policy.spec.Name, Hash: c.policy.hash}
	defer func() {
		if recover() != nil {
			res = ShadowResult{Policy: res.Policy, Failed: true}
		}
	}()
	b := c.pool.Get().(*bench)
	b.reset(c)
	b.builtins = r.b.builtins
	copy(b.erring, r.b.erring)
	r.retell(c, b)
	sc := scope{segment: c.segmentIndex(r.attempt), kept: r.scope.kept}
	seg := &c.segments[sc.segment]
	if r.scope.floor > 0 {
		sc.floor = int(seg.failLevel[r.e.onFlowError])
	}
	res.Policy = seg.ref
	open := newBitset(len(c.catalog.signals))
	copy(open, r.b.skipped)
	for _, s := range c.catalog.steps[stepCostly] {
		if r.findings[s] == nil && !b.erring.has(s) && r.applicable(s) {
			open.set(s)
		}
	}
	copy(b.open, open)
	act := func(j judgement) Action {
		a, _ := seg.levels[j.level].act(j.required, r.provided(), r.obtainable(seg))
		return a
	}
	if !c.settled(b, sc, r.provided(), func(int) {}) {
		res.Open = true
		res.Low, res.High = act(c.answer(b, sc, b.open, asBest)), act(c.answer(b, sc, b.open, asWorst))
	}
	copy(b.skipped, b.open)
	j := c.answer(b, sc, nil, asSaid)
	res.Action, res.Level = act(j), seg.levels[j.level].name
	c.take(b, nil, asSaid, 0)
	res.Score = c.judge(b, sc, false).score
	c.pool.Put(b)
	return res
}

// applicable reports whether a signal not asked had something to look at.
func (r *run) applicable(s int) bool {
	e := &r.c.catalog.signals[s]
	if r.keptEnough(e) {
		return false
	}
	if e.applier == nil {
		return true
	}
	ok, err := r.applies(e)
	return ok && err == nil
}

// retell brings everything said to another policy's bench.
func (r *run) retell(c *compiled, b *bench) {
	each(r.b.said, func(i int) {
		b.observe(c, r.c.card.items[i].code, r.b.degrees[i])
	})
	for _, i := range r.b.learned {
		b.learn(i, r.b.facts[i])
	}
}
