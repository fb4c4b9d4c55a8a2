package sdjournal

import (
	"encoding/hex"
	"fmt"
	"strings"

	sd "github.com/coreos/go-systemd/v22/sdjournal"
)

const fieldMachineID = sd.SD_JOURNAL_FIELD_MACHINE_ID

// NoMachine stands for the entries that bear no machine id: somebody has made
// them by hand.
const NoMachine = "-"

// isMachineID says whether id is one as machine-id(5) wants it. Entries with
// anything else for one count as those with none.
func isMachineID(id string) bool {
	_, err := hex.DecodeString(id)
	return err == nil && len(id) == 32 && id == strings.ToLower(id)
}

// ofOneMachine says whether the entries of a machine with an id are wanted, and no others.
func (o Options) ofOneMachine() bool { return o.Machine != "" && o.Machine != NoMachine }

// passes says whether the entry is of the only machine, Options.sole, or bears no
// id. Otherwise it notes whose it is. Other machines' entries are told here, and not
// where all is read, as a layer that has taken one for its own would have it in its
// position.
func (r *Reader) passes() bool {
	r.ids = r.entry.Values(r.ids[:0], fieldMachineID)
	if len(r.ids) == 0 || string(r.ids[0]) == r.options.sole {
		return true
	}
	id := string(r.ids[0])
	if !isMachineID(id) {
		return true
	}
	r.stranger = id
	return false
}

// matched says whether the journal's index passes over entries of other machines or
// boots.
func (r *Reader) matched() bool {
	return r.bootIDs != nil || r.options.ofOneMachine()
}

// numbersTell says whether entries that are missing in the row of journald's numbers
// are the reader's. Those without a machine id stand among all machines' entries, of
// which some come late and are passed over.
func (r *Reader) numbersTell() bool { return !r.matched() && r.options.Machine != NoMachine }

// counts is that many entries, or 0, which is unknown, where numbers do not tell.
func (r *Reader) counts(missing uint64) uint64 {
	if !r.numbersTell() {
		return 0
	}
	return missing
}

// narrow has the handle give only the entries of one machine, or of some boots, in
// conjunction with other matches on other fields. It forgets the position.
func (r *Reader) narrow() error {
	if r.options.ofOneMachine() {
		if err := r.journal.AddMatch(fieldMachineID + "=" + r.options.Machine); err != nil {
			return err
		}
	}
	for _, id := range r.bootIDs {
		if err := r.journal.AddMatch(sd.SD_JOURNAL_FIELD_BOOT_ID + "=" + id); err != nil {
			return err
		}
	}
	return nil
}

// machineIDs returns the ids that are in the journal's index. It leaves the
// position alone.
func (r *Reader) machineIDs() (ids []string, err error) {
	values, err := r.journal.GetUniqueValues(fieldMachineID)
	if err != nil {
		return nil, fmt.Errorf("look for machine ids: %w", err)
	}
	for _, v := range values {
		if isMachineID(v) {
			ids = append(ids, v)
		}
	}
	return ids, nil
}
