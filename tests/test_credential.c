/* SPDX-License-Identifier: ISC */
/*
 * The test plays systemd: it binds addresses, connects, and reads until the end. As the keeper's
 * monitor it also accepts; a refusal is no more here than the end, and that it was released as one.
 */
#include "keeper_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "request_credential.h"

#define READ_MAX  (4 * 1024 * 1024)
#define ADDRESS   "@12ab/unit/backup.service/dbpass"
#define BIG_VALUE 65536
/* With "id" as long as always fits beside 16 random digits. */
#define LONG_UNIT                                                                                  \
	"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn.service"
#define FIRST                                                                                      \
	"[rule first]\nallow = read list write delete rotate audit admin\nsecret = **\nuser = 0\n" \
	"socket = main\n"
#define SECTIONS                                                                                   \
	"[credential dbpass]\nunit = backup.service\nsecret = prod/db\n"                           \
	"[credential empty]\nunit = backup.service\nsecret = prod/empty\n"                         \
	"[credential big]\nunit = backup.service\nsecret = prod/big\n"                             \
	"[credential gone]\nunit = backup.service\nsecret = prod/gone\n"                           \
	"[credential others]\nunit = other.service\nsecret = prod/db\n"                            \
	"[credential own]\nunit = sync.service\nuser = 1000\nsecret = prod/own\n"                  \
	"[credential id]\nunit = a\\x2db-c.service tpl@*.service user@1000.service " LONG_UNIT     \
	"\nsecret = prod/db\n"

static uint8_t taken[READ_MAX];

/* What /proc/PID/cgroup says in the keeper: the test is in no unit. */
static char cgroup[256];

int open(const char *path, int flags, ...)
{
	size_t size = strlen(path);
	int ends[2];

	if (cgroup[0] == '\0' || strncmp(path, "/proc/", 6) != 0 || size < 7 ||
		strcmp(path + size - 7, "/cgroup") != 0)
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	(void)!write(ends[1], cgroup, strlen(cgroup));
	close(ends[1]);
	return ends[0];
}

/* Is the kernel, to the keeper, one without SO_PEERPIDFD? Shared with it. */
static _Atomic bool *lacks_pidfd;

int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict size)
{
	if (option == 77 && lacks_pidfd && *lacks_pidfd) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return (int)syscall(SYS_getsockopt, fd, level, option, value, size);
}

/* This kernel's id of the test's cgroup is as good as one of another. */
static void sit_in(const char *place)
{
	snprintf(cgroup, sizeof cgroup, "0::%s\n", place);
}

static uint64_t flags;

static int set_up_waiting(void **state, const char *place, unsigned wait_ms, bool has_store)
{
	struct keeper_fixture *fixture = keeper_prepare();

	*state = fixture;
	fixture->flags = flags;
	lacks_pidfd = mmap(NULL, sizeof *lacks_pidfd, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(lacks_pidfd != MAP_FAILED);
	sit_in(place);
	keeper_listen_credentials(fixture, wait_ms);
	keeper_start(fixture);
	if (!has_store)
		return 0;
	keeper_init(fixture);
	if (!is_root())
		return 0; /* each test is skipped */
	keeper_put(fixture, "prod/db", "s3cret");
	keeper_put(fixture, "prod/own", "mine");
	keeper_put(fixture, "prod/empty", "");
	keeper_apply(fixture, FIRST SECTIONS);
	return 0;
}

static int set_up(void **state)
{
	return set_up_waiting(state, "/system.slice/backup.service", 120000, true);
}

/* Its own client is refused, too, where it is a kernel without names. */
static int set_up_strict(void **state)
{
	flags = keeper_kernel_names() ? PROCESS_REQUIRE_PIDFD : 0;
	int result = set_up(state);
	flags = 0;
	return result;
}

static int set_up_of_a_user(void **state)
{
	return set_up_waiting(state,
		"/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service", 120000,
		true);
}

static int set_up_in_no_unit(void **state)
{
	return set_up_waiting(state, "/", 120000, true);
}

static int set_up_impatient(void **state)
{
	return set_up_waiting(state, "/system.slice/backup.service", 50, true);
}

static int set_up_uninitialised(void **state)
{
	return set_up_waiting(state, "/system.slice/backup.service", 50, false);
}

/* "@..." is an abstract address, with '#' for a NUL; "": none is bound. */
static int connect_as(const struct keeper_fixture *fixture, const char *bound)
{
	struct sockaddr_un own = {.sun_family = AF_UNIX}, server = {.sun_family = AF_UNIX};
	size_t size = strlen(bound);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && size <= sizeof own.sun_path);
	memcpy(own.sun_path, bound, size);
	for (size_t i = 0; i < size; i++)
		if (bound[i] == '#' || (i == 0 && bound[i] == '@'))
			own.sun_path[i] = '\0';
	if (size)
		assert_int_equal(
			bind(fd, (struct sockaddr *)&own,
				(socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)),
			0);
	memcpy(server.sun_path, fixture->credentials_socket, sizeof fixture->credentials_socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&server, sizeof server), 0);
	return fd;
}

/* The same for backup.service, of an address that nobody else has. */
static int connect_nth(const struct keeper_fixture *fixture, unsigned number, const char *id)
{
	char bound[108];

	snprintf(bound, sizeof bound, "@%x/unit/backup.service/%s", 0x100 + number, id);
	return connect_as(fixture, bound);
}

/* Reads as systemd does: until the end, or more than it takes. Closes. */
static size_t take(struct keeper_fixture *fixture, int fd)
{
	size_t used = 0;
	ssize_t got = 1;

	while (got > 0 && used < READ_MAX) {
		keeper_pump(fixture, fd);
		got = read(fd, taken + used, READ_MAX - used);
		used += got > 0 ? (size_t)got : 0;
	}
	assert_int_equal(got, 0);
	close(fd);
	return used;
}

static size_t ask(struct keeper_fixture *fixture, const char *bound)
{
	return take(fixture, connect_as(fixture, bound));
}

static void assert_refused(struct keeper_fixture *fixture, const char *bound)
{
	unsigned refused = fixture->refused;
	size_t size = ask(fixture, bound);

	if (size != 0 || fixture->refused != refused + 1)
		fail_msg("%s: %zu bytes, %u refused", bound, size, fixture->refused - refused);
}

static void assert_value(struct keeper_fixture *fixture, const char *bound, const char *value)
{
	unsigned delivered = fixture->delivered;

	assert_int_equal(ask(fixture, bound), strlen(value));
	assert_memory_equal(taken, value, strlen(value));
	assert_int_equal(fixture->delivered, delivered + 1);
}

static void seal(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ask_plain(fixture, asker, WIRE_SEAL), MORTISE_OK);
	asker_close(asker);
}

static void unseal(struct keeper_fixture *fixture)
{
	struct asker *asker = asker_open(fixture);

	assert_int_equal(ask_recover(fixture, asker, fixture->recovery), MORTISE_OK);
	asker_close(asker);
}

/* Has anything come, the end included? The keeper has had its turns before: it was asked twice. */
static bool has_anything(struct keeper_fixture *fixture, int fd)
{
	struct pollfd end = {.fd = fd, .events = POLLIN | POLLRDHUP};
	char text[256];

	keeper_fact(fixture, "state", text);
	keeper_fact(fixture, "state", text);
	return poll(&end, 1, 0) > 0;
}

static void a_unit_has_its_credential_and_a_line_says_so(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	assert_value(fixture, ADDRESS, "s3cret");
	assert_last_line(fixture,
		"\"op\":\"credential\",\"uid\":0,\"gid\":0,\"path\":\"prod/db\",\"version\":1,"
		"\"rule\":\"dbpass\",\"unit\":\"backup.service "
		"system.slice\",\"result\":\"ok\",\"note\":\"dbpass for backup.service\"");
	assert_value(fixture, "@0/unit/backup.service/dbpass", "s3cret");
	assert_value(fixture, "@0123456789abcdef/unit/backup.service/dbpass", "s3cret");
}

/* As getpeername() gave them for units that systemd 252 and 257 started. */
static void addresses_that_systemd_has_bound_are_understood(void **state)
{
	static const struct {
		const char *random, *unit;
	} seen[] = {
		{"230d4d64d1ada365", "a\\x2db-c.service"},
		{"d714c7ee22874473", "tpl@in-st\\x2dance.service"},
		{"f62c69cce89d5a6", "tpl@.x:y.service"},
		{"20b580ef950a0ae4", "user@1000.service"},
		{"11970de7894e129d", LONG_UNIT},
	};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct credential_address read;

	(void)state;
	for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
		int size = snprintf(address.sun_path + 1, sizeof address.sun_path - 1,
			"%s/unit/%s/id", seen[i].random, seen[i].unit);
		assert_true(size > 0 && (size_t)size < sizeof address.sun_path - 1);
		assert_int_equal(credential_address_read(&address,
					 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) +
						 (socklen_t)size,
					 &read),
			MORTISE_OK);
		assert_string_equal(read.unit, seen[i].unit);
		assert_string_equal(read.id, "id");
	}
}

static void an_address_that_systemd_would_not_bind_is_refused(void **state)
{
	static const char *const addresses[] = {
		"",
		"@",
		"@x",
		"@/unit/backup.service/dbpass",
		"@12ag/unit/backup.service/dbpass",
		"@12AB/unit/backup.service/dbpass",
		"@0123456789abcdef0/unit/backup.service/dbpass",
		"@12ab",
		"@12ab/unit/",
		"@12ab/unit/backup.service",
		"@12ab/unit/backup.service/",
		"@12ab/unit//dbpass",
		"@12ab/unix/backup.service/dbpass",
		"@12ab/unit/backup/dbpass",
		"@12ab/unit/backup.service /dbpass",
		"@12ab/unit/backup.service/dbpass/",
		"@12ab/unit/backup.service/db/pass",
		"@12ab/unit/backup.service/dbpass#",
		"@12ab/unit/backup.service/dbpass#x",
		"@12ab/unit/backup.service#/dbpass",
		"@12ab#/unit/backup.service/dbpass",
		"@12ab/unit/backup.service/db:pass",
		"@12ab/unit/backup.service/db\tpass",
		"@12ab/unit/backup.service/db\xc3\xa4",
		"@12ab/unit/backup.service/..",
		"#12ab/unit/backup.service/dbpass ",
		"@12ab/unit/user:backup.service/dbpass",
		"@12ab/unit/b.service/"
		"iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii"
		"ii",
	};
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
		assert_refused(fixture, addresses[i]);
	assert_false(
		keeper_log_has(fixture, "\"path\":\"prod/db\",\"version\":1,\"rule\":\"dbpass\""));
}

static void an_address_in_the_file_system_is_refused(void **state)
{
	struct keeper_fixture *fixture = *state;
	char path[108];

	NEEDS_ROOT();
	snprintf(path, sizeof path, "%s/12ab", fixture->directory);
	assert_refused(fixture, path);
	assert_int_equal(unlink(path), 0);
}

static void the_unit_is_that_of_the_cgroup_and_not_what_the_address_says(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	assert_refused(fixture, "@1/unit/other.service/others");
	assert_last_line(fixture,
		"\"op\":\"credential\",\"uid\":0,\"gid\":0,"
		"\"unit\":\"backup.service system.slice\",\"result\":\"denied\",\"note\":"
		"\"others for other.service: who asks is in backup.service system.slice\"");
	assert_refused(fixture, "@1/unit/system.slice/others");
	assert_refused(fixture, "@1/unit/backup.servicex.service/dbpass");
}

static void who_is_in_no_unit_is_refused(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	assert_refused(fixture, ADDRESS);
	assert_true(keeper_log_has(fixture, "in which unit it is cannot be found out"));
}

static void what_no_section_names_is_refused(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	assert_refused(fixture, "@1/unit/backup.service/unheard-of");
	assert_refused(fixture, "@1/unit/backup.service/others");
	assert_refused(fixture, "@1/unit/backup.service/own");
	assert_true(keeper_log_has(fixture, "no [credential] section has it for this unit"));
}

static void a_deny_of_the_unit_of_its_slice_or_of_root_is_a_refusal(void **state)
{
	static const char *const denies[] = {"unit = backup.service", "unit = system.slice",
		"user = 0", "exe = /usr/bin/true", "socket = credentials", "secret = prod/*"};
	struct keeper_fixture *fixture = *state;
	char text[1024];

	NEEDS_ROOT();
	for (size_t i = 0; i < sizeof denies / sizeof *denies; i++) {
		snprintf(text, sizeof text, FIRST SECTIONS "[rule never]\ndeny = read\n%s\n",
			denies[i]);
		keeper_apply(fixture, text);
		assert_refused(fixture, ADDRESS);
	}
	assert_true(keeper_log_has(fixture, "\"rule\":\"never\",\"unit\":\"backup.service "
					    "system.slice\",\"result\":\"denied\""));
	keeper_apply(fixture, FIRST SECTIONS
		"[rule never]\ndeny = read\nuser = 1000\n[rule web]\ndeny = read\nsocket = web\n");
	assert_value(fixture, ADDRESS, "s3cret");
}

static void a_secret_that_is_not_there_or_deleted_is_a_refusal(void **state)
{
	struct keeper_fixture *fixture = *state;
	struct asker *asker;

	NEEDS_ROOT();
	assert_refused(fixture, "@1/unit/backup.service/gone");
	asker = asker_open(fixture);
	assert_int_equal(ask_path(fixture, asker, WIRE_DELETE, "prod/db"), MORTISE_OK);
	assert_refused(fixture, ADDRESS);
	asker_close(asker);
}

static void an_empty_value_is_refused_since_systemd_could_not_tell_it_from_none(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	assert_refused(fixture, "@1/unit/backup.service/empty");
	assert_true(keeper_log_has(fixture, "empty for backup.service: the value is empty"));
}

static void the_largest_value_comes_whole_though_it_is_read_late(void **state)
{
	static uint8_t value[BIG_VALUE];
	struct keeper_fixture *fixture = *state;
	struct asker *asker;

	NEEDS_ROOT();
	memset(value, 'v', sizeof value);
	asker = asker_open(fixture);
	assert_int_equal(ask_set(fixture, asker, "prod/big", value, sizeof value), MORTISE_OK);
	asker_close(asker);
	int fd = connect_as(fixture, "@1/unit/backup.service/big");
	keeper_await_releases(fixture, 1);
	assert_int_equal(keeper_stop(fixture), 0);
	keeper_start(fixture);
	assert_int_equal(take(fixture, fd), sizeof value);
	assert_memory_equal(taken, value, sizeof value);
}

/* Real and effective ids are the user's, as those of his manager. 0: refused. */
static size_t ask_as_user(struct keeper_fixture *fixture, uint32_t uid, const char *bound)
{
	become(uid, uid);
	int fd = connect_as(fixture, bound);
	size_t size = take(fixture, fd);

	become_root();
	return size;
}

static void a_user_s_own_manager_has_what_names_the_user(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	assert_int_equal(ask_as_user(fixture, 1000, "@1/unit/sync.service/own"), 4);
	assert_memory_equal(taken, "mine", 4);
	assert_true(ask_as_user(fixture, 1000, "@1/unit/other.service/own") == 0);
	assert_true(ask_as_user(fixture, 1001, "@1/unit/sync.service/own") == 0);
	assert_refused(fixture, "@1/unit/sync.service/own");
}

static void a_deny_of_the_user_s_unit_is_a_refusal(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_apply(fixture, FIRST SECTIONS "[rule n]\ndeny = read\nunit = user:sync.service\n");
	assert_true(ask_as_user(fixture, 1000, "@1/unit/sync.service/own") == 0);
}

static void who_is_not_root_is_refused_what_is_for_the_system_s_units(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	assert_true(ask_as_user(fixture, 1000, ADDRESS) == 0);
	assert_true(keeper_log_has(fixture, "\"uid\":1000"));
}

static void while_sealed_it_waits_and_has_its_credential_afterwards(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	seal(fixture);
	int fd = connect_as(fixture, ADDRESS);
	assert_false(has_anything(fixture, fd));
	unseal(fixture);
	assert_int_equal(take(fixture, fd), 6);
	assert_memory_equal(taken, "s3cret", 6);
}

static void sealed_for_longer_than_it_waits_is_a_refusal(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	seal(fixture);
	assert_refused(fixture, ADDRESS);
	assert_last_line(fixture,
		"\"op\":\"credential\",\"uid\":0,\"gid\":0,\"result\":\"sealed\",\"note\":"
		"\"dbpass for backup.service: sealed\"");
	assert_refused(fixture, ADDRESS);
	unseal(fixture);
	assert_value(fixture, ADDRESS, "s3cret");
}

static void without_a_store_it_is_refused_after_the_wait(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	assert_refused(fixture, ADDRESS);
	assert_true(keeper_log_has(fixture, "not initialised; run: mortise init"));
}

static void who_waits_outlives_the_keeper_and_never_has_an_empty_credential(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	seal(fixture);
	int fd = connect_as(fixture, ADDRESS);
	assert_false(has_anything(fixture, fd));
	kill(fixture->pid, SIGKILL);
	assert_int_equal(keeper_reap(fixture), 128 + SIGKILL);
	keeper_start(fixture);
	assert_false(has_anything(fixture, fd));
	unseal(fixture);
	assert_int_equal(take(fixture, fd), 6);
}

static void a_log_that_cannot_be_written_releases_nothing(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	keeper_stop_log(fixture);
	assert_refused(fixture, ADDRESS);
	keeper_mend_log(fixture);
	assert_value(fixture, ADDRESS, "s3cret");
}

static void a_peer_that_is_gone_harms_nobody(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	for (int i = 0; i < 50; i++) {
		close(connect_as(fixture, ADDRESS));
		close(connect_as(fixture, "@1/unit/backup.service/unheard-of"));
	}
	assert_int_equal(ask(fixture, ADDRESS), 6);
}

static void what_a_peer_sends_is_not_read_and_changes_nothing(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	int fd = connect_as(fixture, ADDRESS);
	(void)!send(fd, "GET", 3, MSG_NOSIGNAL);
	keeper_pump(fixture, fd);
	assert_int_equal(read(fd, taken, sizeof taken), 6);
	close(fd);
}

static void two_hundred_at_once_have_all_their_credential(void **state)
{
	struct keeper_fixture *fixture = *state;
	int fds[200];

	NEEDS_ROOT();
	seal(fixture);
	for (unsigned i = 0; i < 200; i++)
		fds[i] = connect_nth(fixture, i, "dbpass");
	unseal(fixture);
	for (size_t i = 0; i < 200; i++)
		assert_int_equal(take(fixture, fds[i]), 6);
}

static void on_an_old_kernel_the_process_that_has_the_pid_is_judged(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	*lacks_pidfd = true;
	assert_value(fixture, ADDRESS, "s3cret");
	assert_refused(fixture, "@1/unit/other.service/others");
	*lacks_pidfd = false;
}

static void on_an_old_kernel_require_pidfd_refuses_all(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	NEEDS_NAMES();
	assert_value(fixture, ADDRESS, "s3cret");
	*lacks_pidfd = true;
	assert_refused(fixture, ADDRESS);
	*lacks_pidfd = false;
}

/* Room for a part of the value: the rest would block. */
static void a_value_that_does_not_leave_whole_is_not_released_as_delivered(void **state)
{
	static uint8_t value[BIG_VALUE];
	struct keeper_fixture *fixture = *state;
	struct asker *asker;

	NEEDS_ROOT();
	asker = asker_open(fixture);
	assert_int_equal(ask_set(fixture, asker, "prod/big", value, sizeof value), MORTISE_OK);
	asker_close(asker);
	fixture->credentials_room = 1;
	int fd = connect_as(fixture, "@1/unit/backup.service/big");
	keeper_await_releases(fixture, 1);
	assert_int_equal(fixture->refused, 1);
	assert_true(take(fixture, fd) < sizeof value);
}

static void the_keeper_itself_accepts_nobody(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	fixture->holds_accepts = true;
	int fd = connect_as(fixture, ADDRESS);
	keeper_await_accepts(fixture, 1);
	int accepted = accept4(fixture->credentials_listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(accepted >= 0);
	close(accepted);
	close(fd);
}

static void when_no_more_can_be_accepted_the_keeper_asks_again_later(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	fixture->accept_answer = MORTISE_BUSY;
	int fd = connect_as(fixture, ADDRESS);
	keeper_await_accepts(fixture, 10);
	fixture->accept_answer = MORTISE_OK;
	assert_int_equal(take(fixture, fd), 6);
}

static void who_is_accepted_but_sealed_by_then_is_refused(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	fixture->holds_accepts = true;
	int fd = connect_as(fixture, ADDRESS);
	keeper_await_accepts(fixture, 1);
	seal(fixture);
	keeper_answer_accepts(fixture);
	assert_int_equal(take(fixture, fd), 0);
	assert_int_equal(fixture->refused, 1);
	assert_last_line(fixture,
		"\"op\":\"credential\",\"uid\":0,\"gid\":0,\"result\":\"sealed\",\"note\":"
		"\"dbpass for backup.service: sealed\"");
}

static void a_keeper_that_is_stopped_answers_first_whom_it_has_asked_for(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	fixture->holds_accepts = true;
	int fd = connect_as(fixture, ADDRESS);
	keeper_await_accepts(fixture, 1);
	kill(fixture->pid, SIGTERM);
	keeper_answer_accepts(fixture);
	assert_int_equal(take(fixture, fd), 6);
	assert_int_equal(fixture->delivered, 1);
	assert_int_equal(keeper_reap(fixture), 0);
}

/* The keeper has its answer, but the monitor has read nothing meanwhile. */
static void call_unread(struct asker *asker)
{
	asker_send(asker);
	assert_true(recv(asker->fd, asker->in, sizeof asker->in, 0) > 0);
}

/* Its end of the socket has room for a few frames, and is full when the value has left. */
static void a_release_that_the_monitor_does_not_take_is_made_again(void **state)
{
	struct keeper_fixture *fixture = *state;

	NEEDS_ROOT();
	assert_int_equal(keeper_stop(fixture), 0);
	fixture->monitor_room = 1;
	keeper_start(fixture);
	unseal(fixture);
	struct asker *asker = asker_open(fixture);
	fixture->holds_accepts = true;
	int fd = connect_as(fixture, ADDRESS);
	keeper_await_accepts(fixture, 1);
	for (unsigned i = 0; i < 6; i++) {
		(void)asker_begin(asker, WIRE_SEAL);
		call_unread(asker);
		wire_put_text(
			asker_begin(asker, WIRE_UNSEAL), WIRE_TAG_RECOVERY, fixture->recovery);
		call_unread(asker);
	}
	keeper_answer_accepts(fixture);
	assert_int_equal(read(fd, taken, sizeof taken), 6);
	(void)asker_begin(asker, WIRE_STATUS);
	call_unread(asker); /* the turn of the release has ended */
	keeper_await_releases(fixture, 1);
	assert_int_equal(fixture->delivered, 1);
	close(fd);
	asker_close(asker);
}

#define WITH(set_up, name) cmocka_unit_test_setup_teardown(name, set_up, tear_down_keeper)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(set_up, a_unit_has_its_credential_and_a_line_says_so),
		cmocka_unit_test(addresses_that_systemd_has_bound_are_understood),
		WITH(set_up, an_address_that_systemd_would_not_bind_is_refused),
		WITH(set_up, an_address_in_the_file_system_is_refused),
		WITH(set_up, the_unit_is_that_of_the_cgroup_and_not_what_the_address_says),
		WITH(set_up_in_no_unit, who_is_in_no_unit_is_refused),
		WITH(set_up, what_no_section_names_is_refused),
		WITH(set_up, a_deny_of_the_unit_of_its_slice_or_of_root_is_a_refusal),
		WITH(set_up, a_secret_that_is_not_there_or_deleted_is_a_refusal),
		WITH(set_up, an_empty_value_is_refused_since_systemd_could_not_tell_it_from_none),
		WITH(set_up, the_largest_value_comes_whole_though_it_is_read_late),
		WITH(set_up_of_a_user, a_user_s_own_manager_has_what_names_the_user),
		WITH(set_up_of_a_user, a_deny_of_the_user_s_unit_is_a_refusal),
		WITH(set_up, who_is_not_root_is_refused_what_is_for_the_system_s_units),
		WITH(set_up, while_sealed_it_waits_and_has_its_credential_afterwards),
		WITH(set_up_impatient, sealed_for_longer_than_it_waits_is_a_refusal),
		WITH(set_up_uninitialised, without_a_store_it_is_refused_after_the_wait),
		WITH(set_up, who_waits_outlives_the_keeper_and_never_has_an_empty_credential),
		WITH(set_up, a_log_that_cannot_be_written_releases_nothing),
		WITH(set_up, a_peer_that_is_gone_harms_nobody),
		WITH(set_up, what_a_peer_sends_is_not_read_and_changes_nothing),
		WITH(set_up, two_hundred_at_once_have_all_their_credential),
		WITH(set_up, a_value_that_does_not_leave_whole_is_not_released_as_delivered),
		WITH(set_up, the_keeper_itself_accepts_nobody),
		WITH(set_up, when_no_more_can_be_accepted_the_keeper_asks_again_later),
		WITH(set_up, who_is_accepted_but_sealed_by_then_is_refused),
		WITH(set_up, a_keeper_that_is_stopped_answers_first_whom_it_has_asked_for),
		WITH(set_up, a_release_that_the_monitor_does_not_take_is_made_again),
		WITH(set_up, on_an_old_kernel_the_process_that_has_the_pid_is_judged),
		WITH(set_up_strict, on_an_old_kernel_require_pidfd_refuses_all),
	};

	(void)!unshare(CLONE_NEWNET); /* abstract addresses are the network namespace's */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
