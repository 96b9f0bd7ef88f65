package market

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"cosmossdk.io/math"

	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// seconds are milliseconds for people.
func seconds(ms uint64) string { return fmt.Sprintf("%d.%03d s", ms/1000, ms%1000) }

// leaseChanges draw a new value for one param each.
var leaseChanges = []func(*world, *leasetypes.Params){
	func(w *world, p *leasetypes.Params) {
		p.BillingPeriod = w.duration("billing period", 60, 20, 7, 61, 120, 600, 3600)
		p.SettleGrace = min(p.SettleGrace, p.BillingPeriod-time.Second)
	},
	func(w *world, p *leasetypes.Params) { p.SettleGrace = w.duration("grace", 10, 0, 1, 6, 59, 119) },
	func(w *world, p *leasetypes.Params) { p.StartDeadline = w.duration("start deadline", 20, 1, 5, 300) },
	func(w *world, p *leasetypes.Params) { p.DrainGrace = w.duration("drain grace", 40, 0, 10, 300) },
	func(w *world, p *leasetypes.Params) { p.TrialPeriod = w.duration("trial", 5, 0, 30, 600) },
	func(w *world, p *leasetypes.Params) { p.MaxWait = w.duration("max wait", 300, 10, 60, 3600) },
	func(w *world, p *leasetypes.Params) { p.Retention = w.duration("retention", 120, 1, 30) },
	func(w *world, p *leasetypes.Params) {
		p.RetryBackoffMin = w.duration("retry backoff min", 2, 1, 10, 20)
	},
	func(w *world, p *leasetypes.Params) { p.RetryBackoffMax = w.duration("retry backoff max", 16, 2, 60) },
	func(w *world, p *leasetypes.Params) { p.NodeBackoffMin = w.duration("node backoff min", 10, 1, 30) },
	func(w *world, p *leasetypes.Params) { p.NodeBackoffMax = w.duration("node backoff max", 60, 30, 600) },
	func(w *world, p *leasetypes.Params) { p.RetryFee = oneOf[uint64](w, "retry fee", 100, 0, 1, 7, 1_000) },
	func(w *world, p *leasetypes.Params) {
		p.MinDemandMilliSuns = oneOf[uint64](w, "min demand", 100, 1, 500)
	},
	func(w *world, p *leasetypes.Params) {
		p.ProviderShareBps = oneOf[uint32](w, "provider share", 9_000, 10_000, 0, 3_333, 9_999)
	},
	func(w *world, p *leasetypes.Params) { p.MaxReplicas = oneOf[uint32](w, "max replicas", 100, 3, 1) },
	func(w *world, p *leasetypes.Params) {
		p.MaxPlacementsPerNode = oneOf[uint32](w, "max placements", 256, 4, 1)
	},
	func(w *world, p *leasetypes.Params) { p.MaxCandidates = oneOf[uint32](w, "max candidates", 50, 1, 3) },
	func(w *world, p *leasetypes.Params) { p.SuspendAfter = oneOf[uint32](w, "suspend after", 3, 1, 2, 16) },
	func(w *world, p *leasetypes.Params) { w.changeBudget(&p.Budgets) },
	func(w *world, p *leasetypes.Params) { w.changeBudget(&p.Budgets) },
	func(w *world, p *leasetypes.Params) { p.Budgets = leasetypes.DefaultParams().Budgets },
}

func (w *world) duration(label string, seconds ...int) time.Duration {
	return time.Duration(oneOf(w, label, seconds...)) * time.Second
}

func (w *world) changeBudget(b *leasetypes.BlockBudgets) {
	budgets := []*uint32{
		&b.LeaseUpdates, &b.Matches, &b.Retries, &b.Endings, &b.Evictions, &b.DuePlacements, &b.DueLeases, &b.NodeBackoffs,
		&b.Prunes, &b.Reindexes,
	}
	*budgets[w.pick(len(budgets), "which budget")] = oneOf[uint32](w, "budget", 200, 1, 2, 5)
}

var sunsChanges = []func(*world, *sunstypes.Params){
	func(w *world, p *sunstypes.Params) {
		p.Bundle.CpuPoints = oneOf[uint64](w, "bundle cpu", 1_000, 900, 1_100)
	},
	func(w *world, p *sunstypes.Params) {
		p.Bundle.MemoryMiB = oneOf[uint64](w, "bundle memory", 2_048, 2_500)
	},
	func(w *world, p *sunstypes.Params) {
		p.Bundle.StorageMiB = oneOf[uint64](w, "bundle storage", 16_384, 17_001)
	},
	func(w *world, p *sunstypes.Params) {
		p.Bundle.BandwidthMbps = oneOf[uint64](w, "bundle bandwidth", 20, 21)
	},
	func(w *world, p *sunstypes.Params) {
		p.AcceleratorBundle.Fp32Gflops = oneOf[uint64](w, "bundle flops", 200, 233)
	},
	func(w *world, p *sunstypes.Params) {
		p.AcceleratorBundle.MemoryBandwidthMbs = oneOf[uint64](w, "bundle device bandwidth", 33_600, 34_000)
	},
	func(w *world, p *sunstypes.Params) {
		p.AcceleratorBundle.MemoryKiB = oneOf[uint64](w, "bundle device memory", 838_860, 1_100_000)
	},
	func(w *world, p *sunstypes.Params) { p.MaxGap = w.duration("max gap", 10, 1, 60, 3_600) },
	func(w *world, p *sunstypes.Params) { p.EpochDuration = w.duration("epoch", 60, 1, 20, 600) },
	func(w *world, p *sunstypes.Params) { p.SilenceLimit = w.duration("silence limit", 45, 15, 120, 600) },
	func(w *world, p *sunstypes.Params) { p.UnbondingPeriod = w.duration("unbonding", 30, 1, 300) },
	func(w *world, p *sunstypes.Params) { p.MinAsk = oneOf[uint64](w, "min ask", 1_000, 1, 3_000) },
	func(w *world, p *sunstypes.Params) {
		p.MaxRewardedAsk = oneOf[uint64](w, "max rewarded ask", 10_000_000, 5_000)
	},
	func(w *world, p *sunstypes.Params) {
		p.MinBond = math.NewInt(oneOf[int64](w, "min bond", 1_000_000, 1, 1_500_000))
	},
	func(w *world, p *sunstypes.Params) {
		p.BondPerSuns = math.NewInt(oneOf[int64](w, "bond per SUNS", 1_000_000, 1, 7))
	},
	func(w *world, p *sunstypes.Params) { p.MinNodeMilliSuns = oneOf[uint64](w, "min node", 100, 1, 2_000) },
	func(w *world, p *sunstypes.Params) { p.ClaimEpochs = oneOf[uint64](w, "claim epochs", 3, 2, 10) },
	func(w *world, p *sunstypes.Params) { p.MaxDeadlinesPerBlock = oneOf[uint32](w, "deadlines", 200, 1) },
	func(w *world, p *sunstypes.Params) { p.MaxPayoutsPerBlock = oneOf[uint32](w, "payouts", 200, 1) },
	func(w *world, p *sunstypes.Params) { p.MaxUnbondingsPerBlock = oneOf[uint32](w, "unbondings", 50, 1) },
}

var auditChanges = []func(*world, *audittypes.Params){
	func(w *world, p *audittypes.Params) { p.AttestInterval = w.duration("attest interval", 5, 1, 10) },
	func(w *world, p *audittypes.Params) {
		p.AuditBond = math.NewInt(oneOf[int64](w, "audit bond", 2_000_000, 1, 5_000_000))
	},
	func(w *world, p *audittypes.Params) {
		p.MinNodeMilliSuns = oneOf[uint64](w, "audit min node", 1_000, 1, 3_000)
	},
	func(w *world, p *audittypes.Params) { p.ClaimEpochs = oneOf[uint64](w, "audit claim epochs", 3, 2, 10) },
	func(w *world, p *audittypes.Params) { p.MaxPayoutsPerBlock = oneOf[uint32](w, "audit payouts", 200, 1) },
}

// govern changes a param of one module; one change in twenty comes from somebody who may not.
func (w *world) govern() {
	authority := w.Authority.String()
	if w.chance(20, "impostor") {
		authority = people[tenants[0]].String()
	}
	params := w.params
	var err error
	switch oneOf(w, "module", "lease", "lease", "lease", "suns", "suns", "audit", "uai") {
	case "lease":
		leaseChanges[w.pick(len(leaseChanges), "param")](w, &params.lease)
		w.changeLeaseParams(authority, params.lease)
		return
	case "suns":
		sunsChanges[w.pick(len(sunsChanges), "param")](w, &params.suns)
		_, err = send(w, "change suns params", w.nodeMsgs.UpdateParams,
			&sunstypes.MsgUpdateParams{Authority: authority, Params: params.suns}, "%v", &params.suns)
	case "audit":
		auditChanges[w.pick(len(auditChanges), "param")](w, &params.audit)
		_, err = send(w, "change audit params", w.usageMsgs.UpdateParams,
			&audittypes.MsgUpdateParams{Authority: authority, Params: params.audit}, "%v", &params.audit)
	case "uai":
		params.uai.MaxRoyalty = oneOf[uint64](w, "max royalty", 1_000_000_000, 1, 1_000)
		params.uai.MaxImageBytes = oneOf[uint64](w, "max image bytes", 1<<30, 1<<20)
		_, err = send(w, "change uai params", w.imageMsgs.UpdateParams,
			&uaitypes.MsgUpdateParams{Authority: authority, Params: params.uai}, "%v", &params.uai)
	}
	if err == nil {
		w.params = params
	}
}

func (w *world) changeLeaseParams(authority string, params leasetypes.Params) {
	_, err := send(w, "change lease params", w.leaseMsgs.UpdateParams,
		&leasetypes.MsgUpdateParams{Authority: authority, Params: params}, "%v", &params)
	if err == nil {
		w.params.lease = params
	}
}

// maxImages keeps a sequence's state small.
const maxImages = 12

func (w *world) imageRefs() []string { return slices.Sorted(maps.Keys(w.images)) }

func (w *world) publishImage() {
	w.named++
	name := fmt.Sprintf("app%d", w.named)
	if len(w.images) >= maxImages || w.chance(20, "same name") {
		name = "app1"
	}
	author := people[oneOf(w, "author", authors...)].String()
	picture := &image{
		owner: author, archs: oneOf(w, "platforms", []string{"amd64"}, []string{"amd64", "arm64"}, []string{"arm64"}),
		demand:  sunstypes.Demand{GeneralMilliSuns: oneOf[uint64](w, "needs", 100, 500, 1_000)},
		royalty: oneOf[uint64](w, "royalty", 0, 70, 600, 3_601, 1_999),
	}
	if w.chance(6, "needs a device") {
		picture.demand.Accelerator = &sunstypes.AcceleratorDemand{Kind: sunstypes.KindGPU, Count: 1, MilliSuns: 4_000}
	}
	var platforms []string
	for _, arch := range picture.archs {
		platforms = append(platforms, "linux/"+arch)
	}
	response, err := send(w, "publish image", w.imageMsgs.PublishImage, &uaitypes.MsgPublishImage{
		Publisher: author, Name: name, Tag: "1", Digest: fmt.Sprintf("sha256:%x", testkit.Digest(name)), SizeBytes: 1 << 20,
		Platforms: platforms, Demand: picture.demand, Licence: "MIT", Royalty: picture.royalty,
	}, "%s by %s, %v, needs %v, royalty %d", name, nick(author), platforms, &picture.demand, picture.royalty)
	if err == nil {
		picture.ref = response.Image
		w.images[picture.ref] = picture
	}
}

func (w *world) deprecateImage() {
	picture := w.anyImage()
	if picture == nil {
		return
	}
	_, err := send(w, "deprecate image", w.imageMsgs.DeprecateImage,
		&uaitypes.MsgDeprecateImage{Owner: picture.owner, Image: picture.ref}, "%s", picture.ref)
	if err == nil {
		picture.retired = true
	}
}

func (w *world) transferImage() {
	picture := w.anyImage()
	if picture == nil {
		return
	}
	owner := people[oneOf(w, "new owner", append(authors[:len(authors):len(authors)], tenants[0], operators[0])...)].String()
	_, err := send(w, "transfer image", w.imageMsgs.TransferImage,
		&uaitypes.MsgTransferImage{Owner: picture.owner, Image: picture.ref, NewOwner: owner}, "%s to %s", picture.ref, nick(owner))
	if err == nil {
		picture.owner = owner
	}
}
