/* SPDX-License-Identifier: ISC */
#include "keeper.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "credential.h"
#include "little_endian.h"
#include "log.h"
#include "proc.h"
#include "processes.h"
#include "request.h"
#include "sandbox.h"
#include "sealer_link.h"
#include "server.h"
#include "turn.h"
#include "verbs.h"

/*
 * What the monitor tells a keeper at its start, in one frame with descriptors (processes.h). Shared
 * by keeper.c and keeper_settings.c; nobody else includes it.
 */

struct keeper_settings {
	char store[4096];
	char audit_log[4096];
	char audit_directory[4096];
	char environment[64];
	uint32_t ids[PROCESS_IDS];
	uint64_t flags;
	uint64_t overdue_ms; /* of a sealer */
	uint64_t anchor_window_s;
	char configuration[384];                /* what the log says of its file */
	uint64_t deleted_keep_s;                /* until a deleted secret is purged; 0: never */
	int descriptors[PROCESS_LISTENERS_MAX]; /* the listeners */
	size_t descriptor_count;
	struct entrance entrances[PROCESS_LISTENERS_MAX];
	size_t entrance_count;
	int credentials;              /* a listener for service managers; -1: none */
	uint64_t credentials_wait_ms; /* how long it waits while sealed */
};

static enum mortise_status read_entrance(
	const struct wire_message *item, struct entrance *out_entrance)
{
	struct entrance entrance = {.verbs = verbs_all()};
	uint64_t verbs = verbs_all();

	TRY(wire_text(item, PROCESS_TAG_NAME, entrance.name, sizeof entrance.name));
	entrance.is_main = strcmp(entrance.name, SUBJECT_SOCKET_MAIN) == 0;
	if (wire_has(item, PROCESS_TAG_NUMBER) || !entrance.is_main)
		TRY(wire_number(item, PROCESS_TAG_NUMBER, &verbs));
	entrance.verbs = (unsigned)verbs & verbs_all();
	*out_entrance = entrance;
	return MORTISE_OK;
}

/* The last listener, if there is one. */
static enum mortise_status read_credentials(
	const struct wire_message *item, struct keeper_settings *settings)
{
	uint64_t kind = 0;

	TRY(wire_number(item, PROCESS_TAG_FLAGS, &kind));
	TRY(wire_number(item, PROCESS_TAG_NUMBER, &settings->credentials_wait_ms));
	if (kind != PROCESS_FOR_CREDENTIALS || settings->credentials_wait_ms > INT32_MAX)
		return MORTISE_INVALID;
	settings->credentials = settings->descriptors[settings->entrance_count];
	return MORTISE_OK;
}

/* One item for each listening socket. */
static enum mortise_status read_entrances(
	const struct wire_message *frame, struct keeper_settings *settings)
{
	struct wire_list list = wire_list_of(frame, PROCESS_TAG_ITEMS);
	struct wire_message item;
	struct wire_field field;

	settings->credentials = -1;
	while (wire_list_next(&list, &field)) {
		if (settings->entrance_count == PROCESS_LISTENERS_MAX || settings->credentials >= 0)
			return MORTISE_INVALID;
		TRY(wire_parse_fields(field.bytes, field.size, &item));
		if (wire_has(&item, PROCESS_TAG_FLAGS))
			TRY(read_credentials(&item, settings));
		else
			TRY(read_entrance(&item, &settings->entrances[settings->entrance_count++]));
	}
	size_t listeners = settings->entrance_count + (settings->credentials >= 0);
	if (!wire_list_is_whole(&list) || settings->entrance_count == 0 ||
		listeners != settings->descriptor_count)
		return MORTISE_INVALID;
	return MORTISE_OK;
}

static enum mortise_status read_hash(
	const struct wire_message *frame, struct keeper_settings *settings)
{
	const struct wire_field *hash = wire_field_of(frame, PROCESS_TAG_HASH);
	char hexadecimal[2 * PROCESS_HASH_SIZE + 1] = "", later[PROCESS_LATER_SIZE] = "";

	if (hash->bytes && hash->size != PROCESS_HASH_SIZE)
		return MORTISE_INVALID;
	if (hash->bytes)
		sodium_bin2hex(hexadecimal, sizeof hexadecimal, hash->bytes, hash->size);
	if (wire_has(frame, PROCESS_TAG_LATER))
		TRY(wire_text(frame, PROCESS_TAG_LATER, later, sizeof later));
	(void)snprintf(settings->configuration, sizeof settings->configuration, "%s%s%s%s",
		hash->bytes ? "configuration " : "no configuration", hexadecimal,
		later[0] != '\0' ? " but as before until a restart: " : "", later);
	return MORTISE_OK;
}

/* What may change while the keeper runs. */
static enum mortise_status read_changeable(
	const struct wire_message *frame, struct keeper_settings *settings)
{
	const struct wire_field *ids = wire_field_of(frame, PROCESS_TAG_IDS);

	if (frame->code != PROCESS_CONFIGURE || ids->size != PROCESS_IDS * 4)
		return MORTISE_INVALID;
	TRY(wire_number(frame, PROCESS_TAG_FLAGS, &settings->flags));
	settings->overdue_ms = SEALER_OVERDUE_MS;
	if (wire_has(frame, PROCESS_TAG_NUMBER))
		TRY(wire_number(frame, PROCESS_TAG_NUMBER, &settings->overdue_ms));
	settings->anchor_window_s = ANCHOR_WINDOW_S;
	if (wire_has(frame, PROCESS_TAG_COUNTER))
		TRY(wire_number(frame, PROCESS_TAG_COUNTER, &settings->anchor_window_s));
	if (wire_has(frame, PROCESS_TAG_DELETED))
		TRY(wire_number(frame, PROCESS_TAG_DELETED, &settings->deleted_keep_s));
	if (settings->overdue_ms > INT32_MAX || settings->anchor_window_s > INT32_MAX ||
		settings->deleted_keep_s > INT32_MAX)
		return MORTISE_INVALID;
	TRY(read_hash(frame, settings));
	settings->environment[0] = '\0';
	if (wire_has(frame, PROCESS_TAG_ENVIRONMENT))
		TRY(wire_text(frame, PROCESS_TAG_ENVIRONMENT, settings->environment,
			sizeof settings->environment));
	for (unsigned i = 0; i < PROCESS_IDS; i++)
		settings->ids[i] = le32_get(ids->bytes + 4 * i);
	return MORTISE_OK;
}

static enum mortise_status read_settings(
	const struct wire_message *frame, struct keeper_settings *settings)
{
	TRY(read_changeable(frame, settings));
	TRY(wire_text(frame, PROCESS_TAG_STORE, settings->store, sizeof settings->store));
	TRY(wire_text(
		frame, PROCESS_TAG_AUDIT_LOG, settings->audit_log, sizeof settings->audit_log));
	memcpy(settings->audit_directory, settings->audit_log, sizeof settings->audit_log);
	char *slash = strrchr(settings->audit_directory, '/');
	if (!slash || slash == settings->audit_directory)
		return MORTISE_INVALID;
	*slash = '\0';
	return read_entrances(frame, settings);
}

/*
 * A CONFIGURE that came later, without descriptors: takes over the environment, the operators,
 * require-pidfd and the sealer's deadline, and nothing else. MORTISE_INVALID.
 */
static enum mortise_status keeper_settings_again(
	const struct wire_message *frame, struct keeper_settings *settings)
{
	struct keeper_settings fresh = *settings;
	uint64_t fixed = ~(uint64_t)PROCESS_REQUIRE_PIDFD;

	TRY(read_changeable(frame, &fresh));
	fresh.flags = (settings->flags & fixed) | (fresh.flags & ~fixed);
	fresh.ids[PROCESS_ID_AGENT] = settings->ids[PROCESS_ID_AGENT];
	fresh.ids[PROCESS_ID_FIRST] = settings->ids[PROCESS_ID_FIRST];
	*settings = fresh;
	return MORTISE_OK;
}

/*
 * Waits for the frame on PROCESS_FD. settings is zeroed before; its contents count only after
 * MORTISE_OK. MORTISE_UNREACHABLE, MORTISE_INVALID.
 */
static enum mortise_status keeper_settings_receive(struct keeper_settings *settings)
{
	static uint8_t frame[16384];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(PROCESS_LISTENERS_MAX * sizeof(int))];
	} control;
	struct iovec part = {frame, sizeof frame};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	struct wire_message fields;
	ssize_t size;

	do
		size = recvmsg(PROCESS_FD, &message, MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR);
	if (size <= 0 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return MORTISE_UNREACHABLE;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
		settings->descriptor_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(settings->descriptors, CMSG_DATA(header),
			settings->descriptor_count * sizeof(int));
	}
	TRY(wire_parse(frame, (size_t)size, &fields));
	return read_settings(&fields, settings);
}

#define POOL_BYTES      (SERVER_POOL_BYTES + CREDENTIAL_POOL_BYTES + 1024 * 1024)
#define CONNECTIONS_MAX 4096
#define OWN_DESCRIPTORS 64
#define AUDIT_TRIES     100
#define AUDIT_PAUSE_MS  20
#define HEARTBEAT_S     5

struct keeper {
	struct agent agent; /* first: the hooks' context is both */
	struct keeper_settings settings;
	struct event_base *base;
	struct sealer_link *sealer;
	struct server *server;
	struct credentials *credentials; /* NULL: nobody listens for them */
	struct event *checkpoint_done, *second, *terminate;
	unsigned seconds;
	uint64_t told_us; /* when the monitor heard of it last */
	bool is_terminating;
};

static void tell_monitor(void *context)
{
	struct keeper *keeper = context;
	struct lifecycle *lifecycle = keeper->agent.lifecycle;
	char text[WIRE_TEXT_MAX];

	if (!lifecycle || !keeper->server)
		return;
	keeper->told_us = clock_steady_us();
	const char *reason = lifecycle_reason(lifecycle);
	snprintf(text, sizeof text, "%s%s%s", lifecycle_state_name(lifecycle),
		reason[0] ? ": " : "", reason);
	struct wire_writer *writer = monitor_begin(keeper->agent.monitor, PROCESS_READY);
	wire_put_text(writer, PROCESS_TAG_TEXT, text);
	wire_put_number(
		writer, PROCESS_TAG_NUMBER, lifecycle_state(lifecycle) == LIFECYCLE_UNSEALED);
	if (lifecycle_waits_for_pin(lifecycle) > 0)
		wire_put_number(writer, PROCESS_TAG_FLAGS, PROCESS_WAITS_FOR_PIN);
	if (monitor_tell(keeper->agent.monitor) != MORTISE_OK)
		log_warning("the monitor does not take the state: %s", text);
}

/* In place of on_second(), which does not come to its turn. */
static void on_reading(void *context)
{
	struct keeper *keeper = context;

	sealer_rest(keeper->sealer);
	if (clock_steady_us() - keeper->told_us >= HEARTBEAT_S * UINT64_C(1000000))
		tell_monitor(keeper);
}

static void on_changed(void *context)
{
	struct keeper *keeper = context;

	tell_monitor(keeper);
	credential_look_again(keeper->credentials);
}

/* What may change while the keeper runs. */
static void take_over(struct keeper *keeper)
{
	const struct keeper_settings *settings = &keeper->settings;
	struct agent *agent = &keeper->agent;

	agent->operators_gid = settings->ids[PROCESS_ID_OPERATORS];
	agent->requires_pidfd = (settings->flags & PROCESS_REQUIRE_PIDFD) != 0;
	memcpy(agent->environment, settings->environment, sizeof agent->environment);
	sealer_link_set_deadline(keeper->sealer, (int)settings->overdue_ms);
}

static void on_lost_monitor(void *context)
{
	struct keeper *keeper = context;

	event_base_loopbreak(keeper->base);
}

static void on_checkpoint_done(evutil_socket_t fd, short what, void *context)
{
	struct keeper *keeper = context;

	(void)fd;
	(void)what;
	request_checkpoint_done(&keeper->agent);
}

/* Wakes the loop, for upkeep runs behind every turn; and lets the monitor know that it turns. */
static void on_second(evutil_socket_t fd, short what, void *context)
{
	struct keeper *keeper = context;

	(void)fd;
	(void)what;
	if (++keeper->seconds % HEARTBEAT_S == 0)
		tell_monitor(keeper);
}

/* The file was read again: hardware that could not be used may now be. */
static void on_configured(void *context, const struct wire_message *frame)
{
	struct keeper *keeper = context;
	struct agent *agent = &keeper->agent;
	struct keeper_settings *settings = &keeper->settings;

	if (keeper_settings_again(frame, settings) != MORTISE_OK) {
		log_error("the monitor's configuration is malformed; nothing changed");
		return;
	}
	take_over(keeper);
	request_record(agent, "reloaded", MORTISE_OK, settings->configuration);
	if (lifecycle_state(agent->lifecycle) == LIFECYCLE_SEALED)
		lifecycle_start(agent->lifecycle);
}

static const struct monitor_hooks monitor_hooks = {on_lost_monitor, on_configured};

static void on_terminate(evutil_socket_t fd, short what, void *context)
{
	struct keeper *keeper = context;

	(void)fd;
	(void)what;
	keeper->is_terminating = true;
	credential_stop(keeper->credentials);
}

static enum mortise_status watch(struct keeper *keeper)
{
	const struct timeval second = {1, 0};

	keeper->checkpoint_done = event_new(keeper->base, audit_descriptor(keeper->agent.audit),
		EV_READ | EV_PERSIST, on_checkpoint_done, keeper);
	keeper->second = event_new(keeper->base, -1, EV_PERSIST, on_second, keeper);
	keeper->terminate = evsignal_new(keeper->base, SIGTERM, on_terminate, keeper);
	if (!keeper->checkpoint_done || !keeper->second || !keeper->terminate ||
		event_add(keeper->checkpoint_done, NULL) != 0 ||
		event_add(keeper->second, &second) != 0 || event_add(keeper->terminate, NULL) != 0)
		return MORTISE_BUSY;
	return MORTISE_OK;
}

static enum mortise_status make_lifecycle(struct keeper *keeper)
{
	struct agent *agent = &keeper->agent;
	const struct lifecycle_parts parts = {
		.base = keeper->base,
		.sealer = keeper->sealer,
		.audit = agent->audit,
		.store_directory = keeper->settings.store,
		.first_uid = agent->first_uid,
		.anchor_window_s = (int)keeper->settings.anchor_window_s,
		.hooks = {request_vault_opened, request_vault_reread, request_vault_closing,
			on_changed, request_record, on_reading, agent},
	};

	return lifecycle_new(&parts, &agent->lifecycle);
}

/* As many connections as there are descriptors for: a socket and a pidfd each. */
static unsigned connections_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < 2 * OWN_DESCRIPTORS)
		return 16;
	rlim_t maximum = (limit.rlim_cur - OWN_DESCRIPTORS) / 2;
	return maximum > CONNECTIONS_MAX ? CONNECTIONS_MAX : (unsigned)maximum;
}

static struct event_base *make_base(void)
{
	struct event_config *options = event_config_new();
	struct event_base *base = NULL;

	if (!options)
		return NULL;
	event_config_set_flag(options, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
	base = event_base_new_with_config(options);
	event_config_free(options);
	return base;
}

/* The keeper before this one may still be ending, with the log locked. */
static enum mortise_status open_audit(
	const struct keeper_settings *settings, struct audit **out_audit)
{
	bool sync_always = (settings->flags & PROCESS_AUDIT_SYNC_ALWAYS) != 0;
	enum mortise_status status = MORTISE_CONFLICT;

	for (unsigned i = 0; i < AUDIT_TRIES && status == MORTISE_CONFLICT; i++) {
		if (i)
			(void)poll(NULL, 0, AUDIT_PAUSE_MS);
		status = audit_open(settings->audit_log, sync_always, out_audit);
	}
	return status;
}

static enum mortise_status make_evidence(struct keeper *keeper)
{
	struct agent *agent = &keeper->agent;
	struct witness_link *witness = NULL;

	if (keeper->settings.flags & PROCESS_HAS_WITNESS) {
		TRY(witness_link_new(
			keeper->base, agent->monitor, &witness_usual_timing, &witness));
		if (!proc_never_wait())
			log_warning("this kernel is older than Linux 5.16: any user can keep the "
				    "agent waiting by his directory in /proc");
	}
	enum mortise_status status = evidence_new(
		witness, (keeper->settings.flags & PROCESS_EXE_EVIDENCE) != 0, &agent->evidence);
	if (status != MORTISE_OK)
		witness_link_free(witness);
	return status;
}

static enum mortise_status open_parts(struct keeper *keeper)
{
	struct agent *agent = &keeper->agent;
	const struct keeper_settings *settings = &keeper->settings;

	keeper->base = agent->base = make_base();
	if (!keeper->base)
		return MORTISE_BUSY;
	agent->agent_uid = settings->ids[PROCESS_ID_AGENT];
	agent->first_uid = settings->ids[PROCESS_ID_FIRST];
	agent->upkeep.deleted_keep_us = settings->deleted_keep_s * 1000000;
	agent->store_directory = settings->store;
	agent->audit_log = settings->audit_log;
	enum mortise_status status = open_audit(settings, &agent->audit);
	if (status != MORTISE_OK) {
		log_error("%s: cannot be the audit log: %s", settings->audit_log,
			status == MORTISE_REJECTED
				? "it must be a regular file of the agent's user, 0640, that "
				  "ends like an audit log"
			: status == MORTISE_CONFLICT ? "another agent writes it"
						     : strerror(errno));
		return status;
	}
	TRY(monitor_link_new(keeper->base, PROCESS_FD, &monitor_hooks, keeper, &agent->monitor));
	TRY(sealer_link_new(keeper->base, agent->monitor, &keeper->sealer));
	TRY(make_evidence(keeper));
	take_over(keeper);
	TRY(make_lifecycle(keeper));
	TRY(watch(keeper));
	return server_new(keeper->base, agent, connections_max(), &keeper->server);
}

/* What an auditor asks of a start: as what, in which life of the host, and when in it. */
static void record_start(struct keeper *keeper, const char *boot)
{
	char note[512];

	(void)snprintf(note, sizeof note, "%s, %" PRIu64 " s into boot %s",
		keeper->settings.configuration, clock_steady_us() / 1000000,
		boot[0] != '\0' ? boot : "unknown");
	request_record(&keeper->agent, "start", MORTISE_OK, note);
}

static enum mortise_status start(struct keeper *keeper)
{
	const struct keeper_settings *settings = &keeper->settings;
	char boot[CLOCK_BOOT_SIZE];

	if ((settings->flags & PROCESS_REQUIRE_PIDFD) && !caller_kernel_names())
		log_error("require-pidfd = yes, and this kernel cannot name who connects: "
			  "everybody is denied");
	clock_boot_id(boot);
	tzset(); /* reads /etc/localtime, which is out of reach afterwards */
	if (sandbox_confine(settings->store, settings->audit_directory) != MORTISE_OK) {
		log_error("the sandbox cannot be entered: %s", strerror(errno));
		return MORTISE_IO;
	}
	TRY(open_parts(keeper));
	if (sandbox_enter() != MORTISE_OK) {
		log_error("the sandbox cannot be entered: %s", strerror(errno));
		return MORTISE_IO;
	}
	keeper->agent.sandbox = sandbox_description();
	record_start(keeper, boot);
	request_damage_while_sealed(&keeper->agent);
	for (size_t i = 0; i < settings->entrance_count; i++)
		TRY(server_listen(
			keeper->server, settings->descriptors[i], &settings->entrances[i]));
	if (settings->credentials >= 0)
		TRY(credential_new(keeper->base, &keeper->agent, settings->credentials,
			(unsigned)settings->credentials_wait_ms, &keeper->credentials));
	tell_monitor(keeper);
	lifecycle_start(keeper->agent.lifecycle);
	return MORTISE_OK;
}

/* Whom the monitor has accepted for it a keeper does not leave without an answer. */
static bool is_over(const struct keeper *keeper)
{
	return event_base_got_break(keeper->base) ||
	       (keeper->is_terminating && credential_is_idle(keeper->credentials));
}

/* Turns: frames that are ready, then their audit lines, then their answers. */
static void serve(struct keeper *keeper)
{
	int flags = EVLOOP_ONCE;

	for (;;) {
		if (turn_has_group(&keeper->agent))
			server_end_turn(keeper->server); /* of which watchers may be told */
		request_tell_watchers(&keeper->agent);
		server_end_turn(keeper->server);
		if (!keeper->is_terminating)
			request_upkeep(&keeper->agent);
		/* A break from upkeep would be forgotten by the loop. */
		if (is_over(keeper) || event_base_loop(keeper->base, flags) != 0 ||
			event_base_got_break(keeper->base))
			return;
		flags = EVLOOP_ONCE | (server_take_turn(keeper->server) ? EVLOOP_NONBLOCK : 0);
	}
}

static void stop(struct keeper *keeper)
{
	if (keeper->agent.audit)
		request_record(&keeper->agent, "stop", MORTISE_OK, NULL);
	if (keeper->server)
		server_end_turn(keeper->server);
	credential_free(keeper->credentials);
	keeper->credentials = NULL;
	server_free(keeper->server);
	keeper->server = NULL;
	lifecycle_free(keeper->agent.lifecycle);
	keeper->agent.lifecycle = NULL;
	sealer_link_free(keeper->sealer);
	evidence_free(keeper->agent.evidence);
	monitor_link_free(keeper->agent.monitor);
	audit_close(keeper->agent.audit);
	if (keeper->checkpoint_done)
		event_free(keeper->checkpoint_done);
	if (keeper->second)
		event_free(keeper->second);
	if (keeper->terminate)
		event_free(keeper->terminate);
	if (keeper->base)
		event_base_free(keeper->base);
	secret_pool_close();
}

/* What the monitor makes of a start that failed: these are not tried again. */
static int exit_status(enum mortise_status status)
{
	switch (status) {
	case MORTISE_OK:
		return EX_OK;
	case MORTISE_INTEGRITY:
		return EX_DATAERR;
	case MORTISE_REJECTED:
	case MORTISE_INVALID:
		return EX_CONFIG;
	case MORTISE_CONFLICT:
		return EX_CANTCREAT;
	default:
		return EX_IOERR;
	}
}

static enum mortise_status open_pool(const struct keeper_settings *settings)
{
	enum mortise_status status;

	if (!(settings->flags & PROCESS_INSECURE_MEMORY)) {
		status = secret_pool_open(POOL_BYTES);
	} else {
		status = secret_pool_open_anyhow(POOL_BYTES);
		if (status == MORTISE_OK && strcmp(secret_pool_protection(), "none") == 0)
			log_warning("insecure-memory = yes, and memory cannot be locked here: "
				    "keys and values may be swapped out");
	}
	if (status != MORTISE_OK)
		log_error("%d KiB of memory cannot be locked: %s; raise RLIMIT_MEMLOCK",
			POOL_BYTES / 1024, strerror(errno));
	return status == MORTISE_OK ? MORTISE_OK : MORTISE_REJECTED;
}

static enum mortise_status prepare(struct keeper *keeper)
{
	log_open("mortised");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (sandbox_prepare() != MORTISE_OK || sodium_init() < 0) {
		log_error("the keeper's process cannot be made safe: %s", strerror(errno));
		return MORTISE_IO;
	}
	if (keeper_settings_receive(&keeper->settings) != MORTISE_OK) {
		log_error("started by hand? `mortised` starts its keeper itself");
		return MORTISE_INVALID;
	}
	return open_pool(&keeper->settings);
}

int keeper_main(void)
{
	static struct keeper keeper;
	enum mortise_status status = prepare(&keeper);

	if (status != MORTISE_OK)
		return exit_status(status);
	status = start(&keeper);
	if (status == MORTISE_BUSY)
		log_error("there is too little memory to start; give the agent more");
	if (status == MORTISE_OK)
		serve(&keeper);
	stop(&keeper);
	return exit_status(status);
}
