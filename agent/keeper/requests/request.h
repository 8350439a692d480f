/* SPDX-License-Identifier: ISC */
/*
 * request: one request of one caller, from authority to answer.
 * The table in request.c says for each opcode who may ask and what runs; authority is decided
 * there and nowhere else, before the vault is asked. Every outcome is put on record here. Policy
 * meets vault only here. Knows nothing of sockets: the server brings frames and takes answers.
 */
#ifndef MORTISE_REQUEST_H
#define MORTISE_REQUEST_H

#include "audit.h"
#include "caller.h"
#include "clock.h"
#include "evidence.h"
#include "lifecycle.h"
#include "monitor_link.h"
#include "owed.h"
#include "policy.h"
#include "policy_names.h"
#include "processes.h"
#include "wire.h"

struct requester;

/* Where callers come in: a listener's name, and what can be asked there, whatever the policy says.
 */
struct entrance {
	char name[PROCESS_NAME_MAX + 1]; /* the caller's attribute `socket` */
	unsigned verbs;                  /* bits of enum verb */
	bool is_main;                    /* operators have their rights here only */
};

struct watch;

/* Requests that wait for a change of a secret, and what they were last compared with. */
struct watch_list {
	struct watch *first;
	size_t paths;
	uint64_t changes, policy_version, swept_ms;
	size_t disabled_rules;
	bool has_unjudged; /* one that waits for a fact about its caller */
};

/* Where the audit log was damaged, and nobody has acknowledged it. */
struct damage {
	uint64_t open;     /* so many places */
	uint64_t since_us; /* of the newest */
	char why[256];
	struct vault_gap unstored; /* one that is not in the store yet; sequence 0: none */
};

/* What is done between requests: checkpoints, purges, looks at disks. Times by the steady clock. */
struct upkeep {
	struct secret *audit_state; /* of a checkpoint, not in the store yet; NULL: none */
	uint64_t audit_retry_us;    /* when it is tried again */
	bool has_old_keys;          /* in the store's write-ahead log: keys that have signed */
	uint64_t forgot_us;         /* when they were last taken from it */
	uint64_t deleted_keep_us;   /* until a deleted secret is purged; 0: never */
	uint64_t looked_again_us;   /* at a store that could not be written */
	uint64_t purged_us;         /* when any was looked for last */
	uint64_t purge_cursor;      /* 0: no look at all secrets is under way */
	bool told_failing, told_reserve, told_scarce; /* what the log last said of the audit log */
	bool told_moved;
	uint64_t log_tried_us;    /* after it failed; monotonic */
	uint64_t moved_looked_us; /* monotonic */
};

/*
 * Where requesters come from and answers go: a server, which brings connections. What a requester
 * is to it stands in requester.at_outlet.
 */
struct outlet {
	void *context;
	size_t (*connections)(void *context);
	/* Has the other end of a requester whose request is pending not gone? */
	bool (*is_waiting)(void *context, const struct requester *from);
	/* The listener of that name, or NULL. */
	const struct entrance *(*find_entrance)(void *context, const char *name);
	/* Wipes the answers that clients have not read, and closes those connections. */
	void (*forget_unread)(void *context);
	/* Sends an answer to a request that was left pending. */
	void (*answer)(void *context, struct requester *to,
		size_t (*build)(struct wire_writer *reply, void *built_from), void *built_from);
};

/* What the keeper's requests work with. One for the process. */
struct agent {
	struct event_base *base;
	struct lifecycle *lifecycle;
	struct audit *audit;
	struct owed owed;
	struct upkeep upkeep;
	enum clock_verdict told_clock; /* what the log last said of it */
	struct damage damage;
	struct monitor_link *monitor;
	struct policy *policy;    /* NULL unless unsealed */
	struct rate_table *rates; /* of the policy; NULL without one */
	struct rate_table *lines; /* that each uid has in the log */
	uint64_t policy_version;
	struct policy_names names; /* of the policy */
	uint64_t requests;         /* so far */
	uint32_t agent_uid, first_uid, operators_gid;
	char environment[64];
	const char *store_directory, *audit_log; /* for `doctor` */
	const char *sandbox;                     /* what is in force of it, for `status` */
	struct watch_list watches;
	struct evidence *evidence;
	bool requires_pidfd; /* a caller whom the kernel does not name is denied */
	bool has_turns;      /* they end with turn_end(): what is set may wait for that */
	struct outlet outlet;
	/* After the audit lines of a turn were written, or could not be; NULL: nobody waits. */
	void (*turn_ended)(void *credentials, bool is_on_record);
	void *credentials;
};

#define REQUEST_PAGE_SIZE 16

struct pending; /* a request that waits for hardware or for names */

/* What an operation keeps with its requester from one page to the next. */
struct hung {
	void *state; /* NULL: nothing */
	void (*drop)(void *state);
};

/* Who asks. A connection has one; whoever else brings requesters need have no connection. */
struct requester {
	void *at_outlet; /* what it is to the outlet */
	struct caller caller;
	const struct entrance *entrance;
	struct pending *pending; /* NULL: none; while there is one, no frame is read */
	struct policy_staging *staging;
	struct backup *backup;     /* in which it may have copies; NULL: it has none */
	struct audit_check *check; /* an `audit verify` under way */
	struct audit_gap *gaps;    /* that it may go past */
	uint64_t check_offset;
	struct hung hygiene; /* a `hygiene` under way */
	uint16_t page_of;    /* the opcode whose next page this connection was told of; 0: none */
	uint8_t page[REQUEST_PAGE_SIZE];
};

/* Has it the rights of an operator: root, the agent's user, the group `operators`, at main? */
bool requester_is_operator(const struct agent *agent, const struct requester *from);

/* Frees what hangs on a requester whose connection ends. */
void requester_done(struct requester *requester);

/* Facts (bits 1 << ATTRIBUTE_...) on which a rule for this requester depends. */
unsigned request_needs(const struct agent *agent, const struct requester *from);

/*
 * Does a request of this opcode want to know which program asks, and that was not found out yet?
 * Then evidence_await_exe() comes before it is handled.
 */
bool request_wants_exe(struct agent *agent, struct requester *from, uint16_t opcode);

/*
 * Handles one frame, already found to be from the caller. Writes the answer, starting with
 * wire_begin(), and gives its size. 0: pending, the outlet is told later.
 */
size_t request_handle(struct agent *agent, struct requester *from,
	const struct wire_message *request, uint8_t *reply, size_t capacity);

/* The hooks of lifecycle.h, with the agent as their context. */
enum mortise_status request_vault_opened(void *agent, struct vault *vault, const char **out_reason)
	MUST_USE;
enum mortise_status request_vault_reread(void *agent, struct vault *vault) MUST_USE;
void request_vault_closing(void *agent);
void request_record(
	void *agent, const char *operation, enum mortise_status result, const char *note);

/* A connection that was refused or ended. */
struct refused {
	int descriptor;
	const struct ucred *sender; /* not the connector; NULL: whoever that is, by the kernel */
	enum mortise_status result;
	const char *note; /* NULL: none */
};
void request_record_refused(struct agent *agent, const struct refused *refused);
/* Who cannot be known, or is another than the connector. */
void request_record_unknown(struct agent *agent, int descriptor, const struct ucred *sender);

/* Called before a turn ends: answers the watches that have something to be told. */
void request_tell_watchers(struct agent *agent);
/* The vault closes: answers all of them. */
void request_end_watches(struct agent *agent);

/*
 * Damage of the audit log: as the store says while it is sealed; what was found when the vault
 * opens; as a store says that was opened anew; what could not be stored, later.
 */
void request_damage_while_sealed(struct agent *agent);
void request_damage_look(struct agent *agent, struct vault *vault);
void request_damage_read(struct agent *agent, struct vault *vault);
void request_damage_upkeep(struct agent *agent);

/* The clock's floor: as the open vault has it, from time to time, and when the vault closes. */
void request_clock_found(struct vault *vault);
void request_clock_upkeep(struct agent *agent);
void request_clock_keep(struct agent *agent);

/* Called between turns: checkpoints, a stale vault. */
void request_upkeep(struct agent *agent);
/* The audit's thread is done: its state goes into the store, now or at a later upkeep. */
void request_checkpoint_done(struct agent *agent);
/* The last checkpoint before the end; waits for it, but not for long. */
void request_checkpoint_last(struct agent *agent);

#endif
