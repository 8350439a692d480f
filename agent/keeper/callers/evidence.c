/* SPDX-License-Identifier: ISC */
#include "evidence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proc.h"
#include "processes.h"
#include "subject.h"
#include "witness_link.h"

#define LEGACY_NAME "name=systemd"
#define PATH_SIZE   4096

/* The paths in the two hierarchies that systemd may keep; "" where it is not listed. */
struct places {
	char unified[PATH_SIZE];
	char legacy[PATH_SIZE];
};

static enum mortise_status take_place(const char *path, size_t size, char place[PATH_SIZE])
{
	if (place[0] != '\0' || size == 0 || path[0] != '/' || size >= PATH_SIZE)
		return MORTISE_REJECTED;
	memcpy(place, path, size);
	place[size] = '\0';
	return MORTISE_OK;
}

/* "0::/system.slice/a.service", "9:name=systemd:/...", "4:cpu,cpuacct:/...": cgroups(7). */
static enum mortise_status read_line(const char *line, const char *end, struct places *places)
{
	const char *controllers = memchr(line, ':', (size_t)(end - line));
	const char *path;
	size_t id_size, controllers_size;

	if (!controllers)
		return MORTISE_REJECTED;
	id_size = (size_t)(controllers++ - line);
	path = memchr(controllers, ':', (size_t)(end - controllers));
	if (!path || id_size == 0)
		return MORTISE_REJECTED;
	controllers_size = (size_t)(path++ - controllers);
	if (controllers_size == 0)
		return id_size == 1 && line[0] == '0'
			       ? take_place(path, (size_t)(end - path), places->unified)
			       : MORTISE_REJECTED;
	if (controllers_size == strlen(LEGACY_NAME) &&
		memcmp(controllers, LEGACY_NAME, controllers_size) == 0)
		return take_place(path, (size_t)(end - path), places->legacy);
	return MORTISE_OK;
}

/* The kernel lets no cgroup's name hold a newline: a line is a line. */
static enum mortise_status read_lines(const char *text, size_t size, struct places *places)
{
	const char *line = text, *end = text + size;

	if (size == 0 || size > CGROUP_TEXT_MAX || memchr(text, '\0', size))
		return MORTISE_REJECTED;
	while (line < end) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));

		if (!newline)
			return MORTISE_REJECTED;
		TRY(read_line(line, newline, places));
		line = newline + 1;
	}
	return MORTISE_OK;
}

static bool is_kept(const char *place)
{
	return place[0] != '\0' && strcmp(place, "/") != 0;
}

enum mortise_status cgroup_read(const char *text, size_t size, struct cgroup_unit *out_unit)
{
	struct places places = {{""}, {""}};
	char names[CGROUP_NAMES_MAX], legacy[CGROUP_NAMES_MAX];
	bool is_unified;

	TRY(read_lines(text, size, &places));
	is_unified = is_kept(places.unified);
	if (!is_unified && !is_kept(places.legacy))
		return MORTISE_REJECTED;
	TRY(subject_unit(is_unified ? places.unified : places.legacy, names, sizeof names));
	if (is_unified && is_kept(places.legacy)) {
		TRY(subject_unit(places.legacy, legacy, sizeof legacy));
		if (strcmp(names, legacy) != 0)
			return MORTISE_REJECTED;
	}
	memcpy(out_unit->names, names, sizeof names);
	out_unit->is_unified = is_unified;
	return MORTISE_OK;
}

#define CACHED_UNITS 256 /* a power of two */
#define LABEL_MAX    4096
#define NO_LOGIN     UINT32_MAX

/*
 * The units of cgroups seen before. A v2 cgroup keeps its path as long as it lives (cgroup v2
 * has no rename: kernel/cgroup/cgroup.c, cgroup_kf_syscall_ops), and its id is never given to
 * another while the system runs: the number is taken round and round, and its upper half
 * counts the rounds (fs/kernfs/dir.c, __kernfs_new_node).
 */
struct known_unit {
	uint64_t cgroup_id; /* 0: free */
	char *names;
};

struct evidence {
	struct witness_link *witness; /* NULL: none */
	bool has_exe;                 /* it says which program a process runs */
	bool maps_all_users;
	struct known_unit known[CACHED_UNITS];
	uint64_t unit_reads;
};

/* "inside outside count": of a process in no namespace of its own all ids are mapped. */
static bool maps_all_users(void)
{
	unsigned inside = 1, outside = 1, count = 0;
	FILE *file = fopen("/proc/self/uid_map", "re");
	bool is_read = file && fscanf(file, "%u %u %u", &inside, &outside, &count) == 3;

	if (file)
		fclose(file);
	return !is_read || (!inside && !outside && count == UINT32_MAX);
}

enum mortise_status evidence_new(
	struct witness_link *witness, bool has_exe, struct evidence **out_evidence)
{
	struct evidence *evidence = calloc(1, sizeof *evidence);

	if (!evidence)
		return MORTISE_BUSY;
	evidence->witness = witness;
	evidence->has_exe = witness && has_exe;
	evidence->maps_all_users = maps_all_users();
	*out_evidence = evidence;
	return MORTISE_OK;
}

void evidence_free(struct evidence *evidence)
{
	if (!evidence)
		return;
	for (size_t i = 0; i < CACHED_UNITS; i++)
		free(evidence->known[i].names);
	witness_link_free(evidence->witness);
	free(evidence);
}

static struct known_unit *place_of(struct evidence *evidence, uint64_t cgroup_id)
{
	return &evidence->known[cgroup_id & (CACHED_UNITS - 1)];
}

static bool knows_unit(struct evidence *evidence, const struct caller *caller)
{
	return caller->cgroup_id &&
	       place_of(evidence, caller->cgroup_id)->cgroup_id == caller->cgroup_id;
}

static void remember(struct evidence *evidence, uint64_t cgroup_id, const char *names)
{
	struct known_unit *place = place_of(evidence, cgroup_id);
	char *copy = strdup(names);

	if (!copy)
		return;
	free(place->names);
	*place = (struct known_unit){cgroup_id, copy};
}

/* A small file of /proc/PID, whole; the process is known to live afterwards. */
static enum mortise_status read_proc(const struct caller *caller, const char *name, char *text,
	size_t capacity, size_t *out_size)
{
	size_t size = 0;

	TRY(proc_read(caller->pid, name, text, capacity, &size));
	if (!caller_is_alive(caller))
		return MORTISE_NOT_FOUND;
	*out_size = size;
	return MORTISE_OK;
}

/* Read twice: a process that is moved meanwhile is in no unit to rely on. */
static enum mortise_status read_unit(const struct caller *caller, struct cgroup_unit *out_unit)
{
	char text[CGROUP_TEXT_MAX], again[CGROUP_TEXT_MAX];
	size_t size = 0, size_again = 0;

	TRY(read_proc(caller, "cgroup", text, sizeof text, &size));
	TRY(read_proc(caller, "cgroup", again, sizeof again, &size_again));
	if (size != size_again || memcmp(text, again, size) != 0)
		return MORTISE_NOT_FOUND;
	return cgroup_read(text, size, out_unit);
}

static const struct fact unknown = {FACT_UNKNOWN, NULL};

static struct fact known(struct caller *caller, enum attribute attribute, const char *text)
{
	char **place = &caller->texts[attribute - ATTRIBUTE_FACTS];

	free(*place);
	*place = strdup(text);
	if (*place)
		return (struct fact){FACT_KNOWN, *place};
	/* It is no reason to deny: the next request gathers it. */
	caller->lack = "memory is short";
	return (struct fact){FACT_UNGATHERED, NULL};
}

static struct fact gather_unit(struct evidence *evidence, struct caller *caller)
{
	uint64_t id = caller->cgroup_id;
	struct cgroup_unit unit;

	if (knows_unit(evidence, caller) && caller_is_alive(caller))
		return known(caller, ATTRIBUTE_UNIT, place_of(evidence, id)->names);
	evidence->unit_reads++;
	if (read_unit(caller, &unit) != MORTISE_OK)
		return unknown;
	if (id && unit.is_unified && caller_cgroup_id(caller) == id)
		remember(evidence, id, unit.names);
	return known(caller, ATTRIBUTE_UNIT, unit.names);
}

static bool is_unit_afar(struct evidence *evidence, const struct caller *caller)
{
	return !knows_unit(evidence, caller) && !proc_knows(caller->pid, "cgroup");
}

/* The pid was the caller's when the witness looked, since the caller lives afterwards. */
static void on_exe(void *context, const char *path, const char *trouble)
{
	struct caller *caller = context;
	struct fact *exe = &caller->subject.exe;

	*exe = unknown;
	caller->exe_trouble = trouble;
	if (path && caller_is_alive(caller))
		*exe = known(caller, ATTRIBUTE_EXE, path);
	if (path && exe->state == FACT_UNGATHERED) {
		*exe = unknown;
		caller->exe_trouble = caller->lack; /* until the next question, as any trouble */
		caller->lack = NULL;
	}
	if (caller->told)
		caller->told(caller->told_context);
}

static bool ask(struct evidence *evidence, struct caller *caller,
	const struct witness_question *question, const char **out_trouble)
{
	if (caller->question.link)
		return true;
	caller->question = *question;
	caller->question.pid = caller->pid;
	caller->question.uid = caller->subject.uid;
	caller->question.context = caller;
	return witness_ask(evidence->witness, &caller->question, out_trouble) == MORTISE_OK;
}

bool evidence_is_wanting(const struct evidence *evidence, const struct caller *caller)
{
	return evidence->witness &&
	       (!caller->is_looked_up || caller->trouble || caller->exe_trouble ||
		       (evidence->has_exe && caller->subject.exe.state == FACT_UNGATHERED));
}

static void note_look(struct caller *caller, const char *trouble)
{
	caller->is_looked_up = true;
	caller->trouble = trouble;
	if (!trouble && caller->subject.unit.state == FACT_UNKNOWN)
		caller->subject.unit.state = FACT_UNGATHERED;
}

static void on_look(void *context, const char *path, const char *trouble)
{
	struct caller *caller = context;

	(void)path;
	caller->has_login = false;
	note_look(caller, trouble);
	if (caller->told)
		caller->told(caller->told_context);
}

bool evidence_may_await_exe(const struct evidence *evidence, struct caller *caller)
{
	struct fact *exe = &caller->subject.exe;

	if (caller->exe_trouble)
		*exe = (struct fact){FACT_UNGATHERED, NULL};
	caller->exe_trouble = NULL;
	return evidence->has_exe && exe->state == FACT_UNGATHERED;
}

bool evidence_await_exe(struct evidence *evidence, struct caller *caller,
	void (*told)(void *context), void *context)
{
	const struct witness_question question = {.opcode = WITNESS_EXE, .answered = on_exe};
	struct fact *exe = &caller->subject.exe;

	if (!evidence->has_exe || exe->state != FACT_UNGATHERED)
		return false;
	caller->told = told;
	caller->told_context = context;
	if (ask(evidence, caller, &question, &caller->exe_trouble))
		return true;
	*exe = unknown;
	return false;
}

/* The label as it was at connect(); the kernel keeps it with the socket. */
static struct fact gather_label(struct evidence *evidence, struct caller *caller)
{
	char label[LABEL_MAX], names[2 * LABEL_MAX];
	socklen_t size = sizeof label;

	(void)evidence;
	if (getsockopt(caller->descriptor, SOL_SOCKET, SO_PEERSEC, label, &size) != 0 ||
		size > sizeof label ||
		subject_label(label, size, names, sizeof names) != MORTISE_OK)
		return unknown;
	return known(caller, ATTRIBUTE_LABEL, names);
}

static enum mortise_status read_number(
	const struct caller *caller, const char *name, uint32_t *out_number)
{
	char text[16], *end = NULL;
	size_t size = 0;

	TRY(proc_read_start(caller->pid, name, text, sizeof text - 1, &size));
	if (!caller_is_alive(caller))
		return MORTISE_NOT_FOUND;
	text[size] = '\0';
	errno = 0;
	unsigned long number = strtoul(text, &end, 10);
	if (size == 0 || errno != 0 || text[0] < '0' || text[0] > '9' ||
		(*end != '\0' && *end != '\n') || number > UINT32_MAX)
		return MORTISE_NOT_FOUND;
	*out_number = (uint32_t)number;
	return MORTISE_OK;
}

/* A session without a login is the kernel's way to say that there is none. */
void evidence_gather_login(struct caller *caller)
{
	enum mortise_status status;

	if (caller->has_login)
		return;
	caller->login_uid = caller->session = NO_LOGIN;
	status = read_number(caller, "loginuid", &caller->login_uid);
	if (status == MORTISE_OK && caller->login_uid != NO_LOGIN)
		status = read_number(caller, "sessionid", &caller->session);
	caller->has_login = status != MORTISE_BUSY || caller->is_looked_up;
}

/* The first process is root's: where /proc hides processes of others, it is hidden. */
static bool shows_others(void)
{
	char text[CGROUP_TEXT_MAX];
	size_t size = 0;
	enum mortise_status status = proc_read(1, "cgroup", text, sizeof text, &size);

	return status == MORTISE_OK || status == MORTISE_BUSY;
}

const char *evidence_of_users(const struct evidence *evidence)
{
	return evidence->maps_all_users
		       ? "all"
		       : "those of the agent's user namespace; others are never served";
}

/* A pidfd names the cgroup by a number; which unit that is, /proc says. */
static const char *describe_units(const struct evidence *evidence, const struct caller *caller)
{
	char text[CGROUP_TEXT_MAX];
	size_t size = 0;

	(void)evidence;
	if (!shows_others() || read_proc(caller, "cgroup", text, sizeof text, &size) != MORTISE_OK)
		return "none: /proc hides the processes of others from the agent";
	return caller->cgroup_id ? "cgroup by pidfd" : "cgroup in /proc";
}

/* Where there is a witness, it is to be awaited. */
static struct fact gather_exe(struct evidence *evidence, struct caller *caller)
{
	return evidence->has_exe ? caller->subject.exe : unknown;
}

static bool has_exes(const struct evidence *evidence, const struct caller *caller)
{
	(void)caller;
	return evidence->has_exe;
}

static const char *describe_exes(const struct evidence *evidence, const struct caller *caller)
{
	(void)caller;
	if (!evidence->has_exe)
		return "none: exe-evidence is not set";
	return witness_report(evidence->witness).is_there ? "witness"
							  : "none: a witness is to be started";
}

static bool has_labels(const struct evidence *evidence, const struct caller *caller)
{
	char label[LABEL_MAX];
	socklen_t size = sizeof label;

	(void)evidence;
	return getsockopt(caller->descriptor, SOL_SOCKET, SO_PEERSEC, label, &size) == 0;
}

static const char *describe_labels(const struct evidence *evidence, const struct caller *caller)
{
	return has_labels(evidence, caller) ? "SO_PEERSEC" : "none: no security module that labels";
}

/* Where each fact comes from. */
static const struct source {
	struct fact (*gather)(struct evidence *evidence, struct caller *caller);
	/* Is there a source for it about anybody? NULL: there always is. */
	bool (*is_there)(const struct evidence *evidence, const struct caller *caller);
	const char *(*describe)(const struct evidence *evidence, const struct caller *caller);
	/* Would /proc have to be asked for what may not be in memory? NULL: it never is. */
	bool (*needs_look)(struct evidence *evidence, const struct caller *caller);
} sources[FACT_COUNT] = {
	[ATTRIBUTE_UNIT - ATTRIBUTE_FACTS] = {gather_unit, NULL, describe_units, is_unit_afar},
	[ATTRIBUTE_EXE - ATTRIBUTE_FACTS] = {gather_exe, has_exes, describe_exes, NULL},
	[ATTRIBUTE_LABEL - ATTRIBUTE_FACTS] = {gather_label, has_labels, describe_labels, NULL},
	/* The listener says it, when the connection comes. */
	[ATTRIBUTE_SOCKET - ATTRIBUTE_FACTS] = {NULL, NULL, NULL, NULL},
};

/* Is all that can be asked of /proc in the kernel's memory already? */
static bool needs_no_look(struct evidence *evidence, struct caller *caller, unsigned facts)
{
	for (unsigned i = 0; i < FACT_COUNT; i++)
		if ((facts >> (ATTRIBUTE_FACTS + i) & 1) && sources[i].needs_look &&
			sources[i].needs_look(evidence, caller))
			return false;
	if (caller->owes_ids && !proc_knows(caller->pid, "status"))
		return false;
	evidence_gather_login(caller);
	return caller->has_login;
}

bool evidence_await_look(struct evidence *evidence, struct caller *caller, unsigned facts,
	void (*told)(void *context), void *context)
{
	const struct witness_question question = {.opcode = WITNESS_LOOK, .answered = on_look};

	if (!evidence->witness || (caller->is_looked_up && !caller->trouble))
		return false;
	caller->trouble = NULL;
	if (needs_no_look(evidence, caller, facts)) {
		note_look(caller, NULL);
		return false;
	}
	if (caller->pidfd >= 0 && !caller_is_alive(caller))
		return false; /* it is not served in any case */
	caller->told = told;
	caller->told_context = context;
	if (ask(evidence, caller, &question, &caller->trouble))
		return true;
	caller->is_looked_up = true;
	return false;
}

void evidence_gather(struct evidence *evidence, struct caller *caller, unsigned facts)
{
	caller->lack = NULL;
	for (unsigned i = 0; i < FACT_COUNT; i++) {
		struct fact *fact = &caller->subject.facts[i];

		if ((facts >> (ATTRIBUTE_FACTS + i) & 1) && fact->state == FACT_UNGATHERED)
			*fact = sources[i].gather ? sources[i].gather(evidence, caller) : unknown;
	}
}

bool evidence_is_there(
	const struct evidence *evidence, const struct caller *caller, enum attribute attribute)
{
	const struct source *source = &sources[attribute - ATTRIBUTE_FACTS];

	return !source->is_there || source->is_there(evidence, caller);
}

const char *evidence_describe(
	const struct evidence *evidence, const struct caller *caller, enum attribute attribute)
{
	const struct source *source = &sources[attribute - ATTRIBUTE_FACTS];

	return source->describe ? source->describe(evidence, caller) : NULL;
}

struct witness_report evidence_witness(const struct evidence *evidence)
{
	return evidence->witness ? witness_report(evidence->witness)
				 : (struct witness_report){.is_there = false};
}

bool evidence_has_witness(const struct evidence *evidence)
{
	return evidence->has_exe;
}

uint64_t evidence_unit_reads(const struct evidence *evidence)
{
	return evidence->unit_reads;
}
