package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/client/tenant"
	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud/snapshot"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

func (c *commands) snapshot() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "snapshot",
		Aliases: []string{"snapshots"},
		Short:   "Save the volumes of a lease, restore and fetch them",
		Long: `Save what the volumes of a lease hold in the network, restore it and fetch it.

Nodes save volumes on the schedule of the lease (--snapshot-every of deploy and scale)
and on request, encrypted to the lease's key: a node can write what it could not read. A replica
that starts elsewhere begins with its newest snapshot, if the node is given the key by
those that hold it; "isun snapshot key" says who they are.`,
	}
	cmd.AddCommand(c.snapshotList(), c.snapshotCreate(), c.snapshotRestore(), c.snapshotGet(), c.snapshotRemove(), c.snapshotKey())
	return cmd
}

// snapshotsListed is what snapshot ls prints as JSON.
type snapshotsListed struct {
	Lease string `json:"lease"`
	// Saving is nil if the lease has nothing to save.
	Saving    *tenant.Saving    `json:"saving"`
	Snapshots []tenant.Snapshot `json:"snapshots"`
}

func (c *commands) snapshotList() *cobra.Command {
	return &cobra.Command{
		Use:   "ls LEASE",
		Short: "List the snapshots of a lease",
		Long: `List the snapshots of each replica: how old they are, how large, who took them and which
one a placement begins with that starts next.`,
		Example: `  isun snapshot ls 3
  isun snapshot ls isun1.../3 --output json`,
		Args:              exactArgs("LEASE"),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.runSnapshotList(cmd.Context(), args[0]) },
		ValidArgsFunction: c.completeLeases,
	}
}

func (c *commands) runSnapshotList(ctx context.Context, text string) error {
	s, id, err := c.openLease(ctx, text, false)
	if err != nil {
		return err
	}
	defer s.end()
	list := snapshotsListed{Lease: id.String()}
	if list.Saving, err = s.client.Saving(ctx, id); err != nil {
		return err
	}
	if list.Snapshots, err = s.client.Snapshots(ctx, id); err != nil {
		return err
	}
	return c.print(list, func() error {
		if len(list.Snapshots) == 0 {
			return c.say("%s", describeSaving(list.Saving, id))
		}
		return c.writeSnapshots(list.Snapshots)
	})
}

func (c *commands) writeSnapshots(snapshots []tenant.Snapshot) error {
	table := format.NewTable(">REPLICA", ">SEQUENCE", ">AGE", ">SIZE", "NODE", "RESTORED NEXT")
	for _, s := range snapshots {
		next := ""
		if s.Restores {
			next = "yes"
		}
		table.Add(fmt.Sprint(s.Replica), fmt.Sprint(s.Sequence), format.Duration(seconds(s.AgeSeconds)), format.Bytes(s.SizeBytes), s.Node, next)
	}
	return table.Write(c.streams.Out)
}

// describeSaving says in a few words how far a lease's volumes are saved.
func describeSaving(s *tenant.Saving, id leasetypes.LeaseID) string {
	switch {
	case s == nil:
		return "its image has no volumes that last"
	case s.AgeSeconds != nil:
		return "snapshot " + format.Duration(seconds(*s.AgeSeconds)) + " ago"
	case !s.Key:
		return fmt.Sprintf("no snapshot: no key; run `isun snapshot key %d`", id.Number)
	}
	return "no snapshot yet"
}

// snapshotAsked is what snapshot create, restore and rm print as JSON.
type snapshotAsked struct {
	Lease    string  `json:"lease"`
	Replica  *uint32 `json:"replica,omitempty"`
	Sequence uint64  `json:"sequence,omitempty"`
	tenant.Sent
	// Snapshots are the new ones, if they were waited for.
	Snapshots []tenant.Snapshot `json:"snapshots,omitempty"`
}

func (c *commands) snapshotCreate() *cobra.Command {
	var wait bool
	var waitTime time.Duration
	cmd := &cobra.Command{
		Use:   "create LEASE",
		Short: "Have the volumes of a lease saved now",
		Long: `Ask the nodes of a lease to save its volumes now, all replicas, and with --wait wait until
the chain has a new snapshot of each that runs. A replica stands still for a moment while
its volumes are looked at.`,
		Example: `  isun snapshot create 3
  isun snapshot create 3 --wait`,
		Args: exactArgs("LEASE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runSnapshotCreate(cmd.Context(), args[0], wait, waitTime)
		},
		ValidArgsFunction: c.completeLeases,
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until they are saved")
	cmd.Flags().DurationVar(&waitTime, "wait-timeout", defaultWaitTime, "how long to wait at most")
	return cmd
}

func (c *commands) runSnapshotCreate(ctx context.Context, text string, wait bool, waitTime time.Duration) error {
	s, id, err := c.openLease(ctx, text, true)
	if err != nil {
		return err
	}
	defer s.end()
	saving, err := s.client.Saving(ctx, id)
	if err != nil {
		return err
	}
	if saving == nil || !saving.Key {
		return fmt.Errorf("nothing of lease %s can be saved: %s", id, describeSaving(saving, id))
	}
	before, err := s.client.Snapshots(ctx, id)
	if err != nil {
		return err
	}
	answer := snapshotAsked{Lease: id.String()}
	if answer.Sent, err = s.client.RequestSnapshot(ctx, id); err != nil {
		return err
	}
	if wait {
		if answer.Snapshots, err = s.awaitSnapshots(ctx, id, before, waitTime); err != nil {
			return err
		}
	}
	return c.print(answer, func() error {
		if !wait {
			return c.say("the nodes of lease %d were asked (transaction %s); `isun snapshot ls %d` shows what they saved", id.Number, answer.Tx, id.Number)
		}
		return c.writeSnapshots(answer.Snapshots)
	})
}

func (s *session) awaitSnapshots(ctx context.Context, id leasetypes.LeaseID, before []tenant.Snapshot, waitTime time.Duration) ([]tenant.Snapshot, error) {
	waitCtx, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	line := s.line()
	fresh, err := s.client.WaitSnapshots(waitCtx, id, before, func(done, of int) {
		line.Set(fmt.Sprintf("saving: %d of %d replicas", done, of), "")
	})
	line.Clear()
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, errInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("waited %s; nodes that were asked save all the same, and `isun snapshot ls %d` shows it", waitTime, id.Number)
	}
	return fresh, err
}

// chosenFlags say which snapshot is meant.
type chosenFlags struct {
	replica  uint32
	sequence uint64
}

func (f *chosenFlags) add(cmd *cobra.Command) {
	cmd.Flags().Uint32Var(&f.replica, "replica", 0, "which replica's")
	cmd.Flags().Uint64Var(&f.sequence, "sequence", 0, "which of the replica's snapshots (default: the newest)")
}

// choose finds the snapshot that is meant.
func (s *session) choose(ctx context.Context, id leasetypes.LeaseID, f *chosenFlags) (tenant.Snapshot, error) {
	list, err := s.client.Snapshots(ctx, id)
	if err != nil {
		return tenant.Snapshot{}, err
	}
	var found tenant.Snapshot
	for _, one := range list { // by sequence: the newest is the last
		if one.Replica == f.replica && (f.sequence == 0 || one.Sequence == f.sequence) {
			found = one
		}
	}
	switch {
	case found.Sequence != 0:
		return found, nil
	case f.sequence != 0:
		return found, fmt.Errorf("replica %d of lease %s has no snapshot %d: `isun snapshot ls %d` lists what there is", f.replica, id, f.sequence, id.Number)
	}
	return found, fmt.Errorf("there is no snapshot of replica %d of lease %s", f.replica, id)
}

func (c *commands) snapshotRestore() *cobra.Command {
	f := &chosenFlags{}
	cmd := &cobra.Command{
		Use:   "restore LEASE",
		Short: "Have a replica begin anew with a snapshot",
		Long: `End a replica where it runs and place it anew, its volumes as a snapshot has them. What it
wrote since is lost, unless it is in a newer snapshot, which stays.

The node that the replica comes to needs the lease's key, which holders of its shares
give; if you keep the key alone no node can read a snapshot, and "isun snapshot get"
fetches it for you.`,
		Example: `  isun snapshot restore 3
  isun snapshot restore 3 --replica 1 --sequence 12`,
		Args:              exactArgs("LEASE"),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.runSnapshotRestore(cmd.Context(), args[0], f) },
		ValidArgsFunction: c.completeLeases,
	}
	f.add(cmd)
	return cmd
}

func (c *commands) runSnapshotRestore(ctx context.Context, text string, f *chosenFlags) error {
	s, id, err := c.openLease(ctx, text, true)
	if err != nil {
		return err
	}
	defer s.end()
	chosen, err := s.choose(ctx, id, f)
	if err != nil {
		return err
	}
	question := fmt.Sprintf("End replica %d of lease %s and start it with snapshot %d, %s old",
		chosen.Replica, id, chosen.Sequence, format.Duration(seconds(chosen.AgeSeconds)))
	if err := c.confirm(ctx, question, "what it wrote since then is lost"); err != nil {
		return err
	}
	sent, err := s.client.RestoreSnapshot(ctx, id, chosen.Replica, chosen.Sequence)
	if err != nil {
		return err
	}
	return c.print(snapshotAsked{Lease: id.String(), Replica: &chosen.Replica, Sequence: chosen.Sequence, Sent: sent}, func() error {
		return c.say("replica %d of lease %d begins anew with snapshot %d (transaction %s); `isun inspect %d` shows where",
			chosen.Replica, id.Number, chosen.Sequence, sent.Tx, id.Number)
	})
}

func (c *commands) snapshotRemove() *cobra.Command {
	f := &chosenFlags{}
	cmd := &cobra.Command{
		Use:     "rm LEASE",
		Aliases: []string{"remove"},
		Short:   "End that a snapshot is kept",
		Example: `  isun snapshot rm 3 --sequence 12
  isun snapshot rm 3 --replica 1 --sequence 4`,
		Args: exactArgs("LEASE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.sequence == 0 {
				return errors.New("which one? Say --sequence, as `isun snapshot ls` lists them")
			}
			return c.runSnapshotRemove(cmd.Context(), args[0], f)
		},
		ValidArgsFunction: c.completeLeases,
	}
	f.add(cmd)
	cmd.Flags().Lookup("sequence").Usage = "which of the replica's snapshots"
	return cmd
}

func (c *commands) runSnapshotRemove(ctx context.Context, text string, f *chosenFlags) error {
	s, id, err := c.openLease(ctx, text, true)
	if err != nil {
		return err
	}
	defer s.end()
	chosen, err := s.choose(ctx, id, f)
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Remove snapshot %d of replica %d of lease %s for good", chosen.Sequence, chosen.Replica, id)
	if err := c.confirm(ctx, question); err != nil {
		return err
	}
	sent, err := s.client.RemoveSnapshot(ctx, id, chosen.Replica, chosen.Sequence)
	if err != nil {
		return err
	}
	return c.print(snapshotAsked{Lease: id.String(), Replica: &chosen.Replica, Sequence: chosen.Sequence, Sent: sent}, func() error {
		return c.say("snapshot %d of replica %d of lease %d is removed (transaction %s)", chosen.Sequence, chosen.Replica, id.Number, sent.Tx)
	})
}

// snapshotGot is what snapshot get prints as JSON.
type snapshotGot struct {
	Lease     string   `json:"lease"`
	Replica   uint32   `json:"replica"`
	Sequence  uint64   `json:"sequence"`
	Out       string   `json:"out"`
	Volumes   []string `json:"volumes"`
	SizeBytes int64    `json:"size_bytes"`
	// FetchedBytes came from nodes; the rest was here.
	FetchedBytes int64 `json:"fetched_bytes"`
}

func (c *commands) snapshotGet() *cobra.Command {
	f := &chosenFlags{}
	cmd := &cobra.Command{
		Use:   "get LEASE OUT",
		Short: "Fetch a snapshot and decrypt it into a folder",
		Long: `Fetch a snapshot of a lease of yours, check every byte, decrypt it with the keyring in
--home and write it to a folder, with one folder in it for each volume. OUT must not be
there or be empty; it appears when all of it is there. What was interrupted goes on
where it was.`,
		Example: `  isun snapshot get 3 back
  isun snapshot get 3 back --replica 1 --sequence 12`,
		Args: exactArgs("LEASE", "OUT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runSnapshotGet(cmd.Context(), args[0], args[1], f)
		},
		ValidArgsFunction: c.completeLeases,
	}
	f.add(cmd)
	return cmd
}

func (c *commands) runSnapshotGet(ctx context.Context, text, out string, f *chosenFlags) error {
	s, id, err := c.openLease(ctx, text, false)
	if err != nil {
		return err
	}
	defer s.end()
	chosen, err := s.choose(ctx, id, f)
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.keyringPath()); err != nil {
		return fmt.Errorf("the key of lease %s comes from the keyring of its tenant: %w", id, err)
	}
	identity, _, err := s.leaseIdentity(id)
	if err != nil {
		return err
	}
	root, err := uai.ParseDigest(chosen.Digest)
	if err != nil {
		return err
	}
	store, err := s.openFetched()
	if err != nil {
		return err
	}
	defer store.Close()
	answer := pulled{}
	if err := s.pull(ctx, store, root, &answer); err != nil {
		return err
	}
	opened, err := snapshot.Open(store, root, identity.Age())
	if errors.Is(err, snapshot.ErrNoKey) {
		return fmt.Errorf("%w: it was taken for another key than the one in %s", err, s.keyringPath())
	}
	if err != nil {
		return err
	}
	defer opened.Close()
	if want := id.String(); opened.Info.Lease != want || opened.Info.Replica != chosen.Replica {
		return fmt.Errorf("%w: it is of replica %d of lease %.100q, not of replica %d of %s",
			snapshot.ErrMalformed, opened.Info.Replica, opened.Info.Lease, chosen.Replica, want)
	}
	if err := s.extract(ctx, opened, out); err != nil {
		return err
	}
	got := snapshotGot{
		Lease: id.String(), Replica: chosen.Replica, Sequence: chosen.Sequence, Out: out, Volumes: []string{},
		SizeBytes: answer.SizeBytes, FetchedBytes: answer.FetchedBytes,
	}
	for _, v := range opened.Info.Volumes {
		got.Volumes = append(got.Volumes, v.Name)
	}
	return c.print(got, func() error {
		return c.say("snapshot %d of replica %d of lease %d is in %s: %s", got.Sequence, got.Replica, id.Number, out, strings.Join(got.Volumes, ", "))
	})
}

func (s *session) extract(ctx context.Context, opened *snapshot.Snapshot, out string) error {
	var total, done int64
	for _, v := range opened.Info.Volumes {
		total += int64(v.Bytes)
	}
	bar := s.transferBar("unpacking")
	defer bar.clear()
	return snapshot.Extract(ctx, opened, out, snapshot.RestoreOptions{
		Owners: os.Geteuid() == 0,
		Progress: func(bytes int64) {
			done += bytes
			bar.set(min(done, total), total)
		},
	})
}
