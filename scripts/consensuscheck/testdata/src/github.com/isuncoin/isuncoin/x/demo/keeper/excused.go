package keeper

func excused(m map[string]int) (set map[string]bool) {
	set = map[string]bool{}
	for k := range m { //consensus:ok fills a set, the order is lost
		set[k] = true
	}
	//consensus:ok fills a set, the order is lost
	for k := range m {
		set[k] = true
	}

	for k := range m { /* want `range over a map` `needs a reason` */ //consensus:ok
		set[k] = true
	}
	_ = len(m)           /* want `excuses nothing` */ //consensus:ok there is nothing to excuse
	for k := range set { //consensus:ok empties it, the order is lost
		delete(set, k)
	}
	for k := range m { // want `range over a map`
		set[k] = true
	}
	return set
}
