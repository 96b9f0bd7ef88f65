package command

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/tenant"
	cloudclient "github.com/isuncoin/isuncoin/worker/cloud/client"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// keyPolicy says who can restore what was saved.
type keyPolicy struct {
	sharing cloudclient.Sharing
	// alone: nobody but the tenant.
	alone bool
}

var sharingPattern = regexp.MustCompile(`^([0-9]{1,2})-of-([0-9]{1,2})$`)

// parseSharing reads "2-of-3"; empty is what suits the network.
func parseSharing(flag, text string) (cloudclient.Sharing, error) {
	if text == "" {
		return cloudclient.Sharing{}, nil
	}
	match := sharingPattern.FindStringSubmatch(text)
	if match == nil {
		return cloudclient.Sharing{}, fmt.Errorf("--%s is %q: say how many of how many nodes give the key back, such as 2-of-3", flag, text)
	}
	threshold, err := strconv.Atoi(match[1])
	if err != nil {
		return cloudclient.Sharing{}, err
	}
	shares, err := strconv.Atoi(match[2])
	if err != nil {
		return cloudclient.Sharing{}, err
	}
	if threshold < 1 || threshold > shares || shares > vault.MaxShares {
		return cloudclient.Sharing{}, fmt.Errorf("--%s is %q: at most %d nodes hold a share, and 1 to all of them give the key back", flag, text, vault.MaxShares)
	}
	return cloudclient.Sharing{Threshold: threshold, Shares: shares}, nil
}

// leaseIdentity derives the key of a lease from the tenant's keyring.
func (s *session) leaseIdentity(id leasetypes.LeaseID) (*vault.Identity, vault.Subject, error) {
	ring, err := s.keyring()
	if err != nil {
		return nil, "", err
	}
	subject := vault.LeaseSubject(id.Tenant, id.Number)
	identity, err := ring.Identity(s.conn.ChainID(), subject)
	return identity, subject, err
}

// setLeaseKey tells the chain to whom a lease's snapshots are encrypted, and gives shares of the key to nodes unless the tenant
// keeps it alone.
func (s *session) setLeaseKey(ctx context.Context, id leasetypes.LeaseID, policy keyPolicy) (tenant.Sent, error) {
	identity, subject, err := s.leaseIdentity(id)
	if err != nil {
		return tenant.Sent{}, err
	}
	msg := &uaitypes.MsgSetKeyHolders{Owner: id.Tenant, Subject: string(subject), Recipient: identity.Recipient()}
	if !policy.alone {
		split, err := s.splitKey(ctx, identity, subject, policy.sharing)
		if err != nil {
			return tenant.Sent{}, err
		}
		msg = split.Message(id.Tenant)
	}
	return s.client.SetKeyHolders(ctx, msg)
}

// leaseKeySet is what snapshot key prints as JSON.
type leaseKeySet struct {
	Lease string `json:"lease"`
	tenant.KeyHolders
	tenant.Sent
}

func (c *commands) snapshotKey() *cobra.Command {
	var holders string
	var alone bool
	cmd := &cobra.Command{
		Use:   "key LEASE",
		Short: "Say who holds the key to a lease's snapshots",
		Long: `Set or renew who holds the key to the snapshots of a lease. The key comes from the keyring
in --home. Split among nodes, as many of them as you say give it to the node on which
the chain places a replica, so that a failover at night begins with the newest snapshot;
fewer can neither give it nor learn it. Kept alone, nodes save but no node can restore:
"isun snapshot get" fetches a snapshot for you.`,
		Example: `  isun snapshot key 3
  isun snapshot key 3 --holders 3-of-5
  isun snapshot key 3 --alone`,
		Args: exactArgs("LEASE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sharing, err := parseSharing("holders", holders)
			if err != nil {
				return err
			}
			return c.runSnapshotKey(cmd.Context(), args[0], keyPolicy{sharing: sharing, alone: alone})
		},
		ValidArgsFunction: c.completeLeases,
	}
	cmd.Flags().StringVar(&holders, "holders", "", "how many of how many nodes give the key back (default 2-of-3, or what there is)")
	cmd.Flags().BoolVar(&alone, "alone", false, "keep the key to yourself, and restore by hand")
	cmd.MarkFlagsMutuallyExclusive("holders", "alone")
	return cmd
}

func (c *commands) runSnapshotKey(ctx context.Context, text string, policy keyPolicy) error {
	s, id, err := c.openLease(ctx, text, true)
	if err != nil {
		return err
	}
	defer s.end()
	if _, err := s.client.Lease(ctx, id); err != nil {
		return err
	}
	question := fmt.Sprintf("Split the key of lease %s among nodes", id)
	if policy.alone {
		question = fmt.Sprintf("Keep the key of lease %s alone: no node can restore its volumes then", id)
	}
	if err := c.confirm(ctx, question); err != nil {
		return err
	}
	answer := leaseKeySet{Lease: id.String()}
	if answer.Sent, err = s.setLeaseKey(ctx, id, policy); err != nil {
		return err
	}
	if answer.KeyHolders, err = s.client.KeyHolders(ctx, string(vault.LeaseSubject(id.Tenant, id.Number))); err != nil {
		return err
	}
	return c.print(answer, func() error { return c.say("%s", describeHolders(answer.KeyHolders, id)) })
}

// describeHolders says who can restore.
func describeHolders(k tenant.KeyHolders, id leasetypes.LeaseID) string {
	if k.Threshold == 0 {
		return fmt.Sprintf("the key of lease %d is yours alone: nodes save, and `isun snapshot get %d` fetches", id.Number, id.Number)
	}
	names := make([]string, 0, len(k.Nodes))
	for _, n := range k.Nodes {
		names = append(names, n.Node)
	}
	return fmt.Sprintf("%d of %d nodes give the key of lease %d to the node that runs it: %s", k.Threshold, len(names), id.Number, strings.Join(names, ", "))
}

// savingFlags are those of deploy about volumes.
type savingFlags struct {
	every   time.Duration
	keep    uint32
	holders string
	alone   bool
	// everySet says that a schedule was said, set that anything was.
	everySet, set bool
}

// addSchedule adds the flags of the schedule.
func (f *savingFlags) addSchedule(cmd *cobra.Command, every string) {
	cmd.Flags().DurationVar(&f.every, "snapshot-every", 0, every)
	cmd.Flags().Uint32Var(&f.keep, "snapshot-keep", 0, "how many snapshots of each replica are kept, at most 16 (default 3)")
}

func (f *savingFlags) add(cmd *cobra.Command) {
	f.addSchedule(cmd, "save the volumes so often, such as 1h, from 1m on (default: on request alone)")
	cmd.Flags().StringVar(&f.holders, "key-holders", "", "how many of how many nodes give the key to snapshots back (default 2-of-3, or what there is)")
	cmd.Flags().BoolVar(&f.alone, "keep-key", false, "keep the key to snapshots alone, and restore by hand")
	cmd.MarkFlagsMutuallyExclusive("key-holders", "keep-key")
}

// read notes which flags were given.
func (f *savingFlags) read(cmd *cobra.Command) {
	f.everySet = cmd.Flags().Changed("snapshot-every")
	f.set = f.everySet || f.keep > 0 || f.holders != "" || f.alone
}

// schedule is what the chain is told; zeros are what was not said.
func (f *savingFlags) schedule() (everySeconds, keep uint32, err error) {
	if f.every%time.Second != 0 || f.every < 0 || f.every > leasetypes.MaxSnapshotSeconds*time.Second {
		return 0, 0, fmt.Errorf("--snapshot-every is %s: say whole seconds, from 1m to %s", f.every, leasetypes.MaxSnapshotSeconds*time.Second)
	}
	everySeconds = uint32(f.every / time.Second)
	return everySeconds, f.keep, leasetypes.ValidateSnapshotPolicy(everySeconds, f.keep)
}

func (f *savingFlags) policy() (keyPolicy, error) {
	sharing, err := parseSharing("key-holders", f.holders)
	return keyPolicy{sharing: sharing, alone: f.alone}, err
}

// checkSaving refuses, before anything is ordered, to save what there is not, and for a key that nobody could hold.
func (s *session) checkSaving(ctx context.Context, f *savingFlags, plan tenant.Plan) error {
	if !f.set {
		return nil
	}
	if !plan.Lasting() {
		return errors.New("the image has no volumes that last: there is nothing to save; leave --snapshot-every, --key-holders and --keep-key out")
	}
	policy, err := f.policy()
	if err != nil || policy.alone {
		return err
	}
	// Any key and lease will do: what counts is which nodes there are.
	trial, err := vault.NewIdentity()
	if err != nil {
		return err
	}
	defer trial.Wipe()
	_, err = cloudclient.Split(ctx, cloudclient.NewCatalogue(s.conn), trial, vault.LeaseSubject(plan.Msg.Tenant, 1), policy.sharing)
	if errors.Is(err, cloudclient.ErrNoKeyHolder) {
		return fmt.Errorf("%w; --keep-key keeps it to yourself", err)
	}
	return err
}

// shareKey sets the key of a lease that was just ordered, if its volumes are to be saved. That takes its number, and so a
// transaction of its own. Without it the lease runs all the same.
func (s *session) shareKey(ctx context.Context, f *savingFlags, plan tenant.Plan, id leasetypes.LeaseID) error {
	if !f.set {
		if plan.Lasting() {
			fmt.Fprintf(s.streams.Err, "its volumes are on one machine each and are not saved: `isun snapshot key %d` begins that\n", id.Number)
		}
		return nil
	}
	policy, err := f.policy()
	if err != nil {
		return err
	}
	sent, err := s.setLeaseKey(ctx, id, policy)
	if err != nil {
		return fmt.Errorf("lease %d is ordered, but its volumes are not saved, for its key was not set: %w; try `isun snapshot key %d` again", id.Number, err, id.Number)
	}
	holders := "shared among nodes"
	if policy.alone {
		holders = "yours alone"
	}
	fmt.Fprintf(s.streams.Err, "the key to its snapshots is %s (block %d, transaction %s)\n", holders, sent.Height, sent.Tx)
	return nil
}
