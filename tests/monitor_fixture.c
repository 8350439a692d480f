/* SPDX-License-Identifier: ISC */
#include "monitor_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "log.h"

static int listening_socket(int type)
{
	struct sockaddr_un autobind = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&autobind, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 2 * CREDENTIAL_HELD_MAX), 0);
	return fd;
}

static int notify_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

int set_up_monitor(void **state)
{
	struct monitor_fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	snprintf(fixture->base, sizeof fixture->base, "/tmp/test_monitor.XXXXXX");
	assert_non_null(mkdtemp(fixture->base));
	snprintf(fixture->notify_path, sizeof fixture->notify_path, "%s/notify", fixture->base);
	snprintf(fixture->mark, sizeof fixture->mark, "%s/mark", fixture->base);
	fixture->notify_fd = notify_socket(fixture->notify_path);
	fixture->listener_fd = listening_socket(SOCK_SEQPACKET);
	fixture->credentials_fd = listening_socket(SOCK_STREAM);
	assert_int_equal(pipe2(fixture->ready, O_CLOEXEC), 0);
	fixture->config.store = fixture->base;
	fixture->config.audit_log = (char *)(uintptr_t) "/audit.log";
	fixture->config.tcti = (char *)(uintptr_t) "swtpm:path=/x";
	fixture->config.hardware_deadline_ms = 60000;
	fixture->config.audit_sync_always = true;
	fixture->identity = (struct identity){.uid = geteuid(), .gid = getegid()};
	fixture->listeners[0] =
		(struct monitor_listener){.name = "main", .verbs = 127, .fd = fixture->listener_fd};
	fixture->listeners[1] = (struct monitor_listener){.name = "credentials",
		.fd = fixture->credentials_fd,
		.is_for_credentials = true,
		.wait_ms = 1000};
	fixture->settings = (struct monitor_settings){
		.config = &fixture->config,
		.identity = &fixture->identity,
		.first_uid = geteuid(),
		.operators_gid = 4321,
		.keeper_program = "/proc/self/exe",
		.sealer_program = "/proc/self/exe",
		.listeners = fixture->listeners,
		.listener_count = 1,
		.ready_fd = fixture->ready[1],
		.notify_socket = fixture->notify_path,
		.timing = monitor_usual_timing,
	};
	*state = fixture;
	return 0;
}

void monitor_start(struct monitor_fixture *fixture, const char *scenario)
{
	fixture->config.environment = (char *)(uintptr_t)scenario;
	fixture->monitor = fork();
	if (fixture->monitor == 0) {
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		log_open("mortised");
		setenv("MORTISE_TEST_CANARY", "leaked", 1);
		_exit(monitor_run(&fixture->settings));
	}
	assert_true(fixture->monitor > 0);
}

int monitor_exit_status(struct monitor_fixture *fixture)
{
	int status = -1;

	assert_int_equal(waitpid(fixture->monitor, &status, 0), fixture->monitor);
	fixture->monitor = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

int tear_down_monitor(void **state)
{
	struct monitor_fixture *fixture = *state;

	if (fixture->monitor > 0) {
		kill(fixture->monitor, SIGTERM);
		assert_int_equal(monitor_exit_status(fixture), 0);
	}
	close(fixture->notify_fd);
	close(fixture->listener_fd);
	close(fixture->credentials_fd);
	close(fixture->ready[0]);
	close(fixture->ready[1]);
	unlink(fixture->notify_path);
	unlink(fixture->mark);
	snprintf(fixture->mark, sizeof fixture->mark, "%s/waits-for-pin", fixture->base);
	unlink(fixture->mark);
	assert_int_equal(rmdir(fixture->base), 0);
	free(fixture);
	return 0;
}

void monitor_read_datagram(struct monitor_fixture *fixture, char *text, size_t size)
{
	struct pollfd readable = {.fd = fixture->notify_fd, .events = POLLIN};
	ssize_t received;

	assert_int_equal(poll(&readable, 1, PATIENCE_MS), 1);
	received = recv(fixture->notify_fd, text, size - 1, 0);
	assert_true(received > 0);
	text[received] = '\0';
}

void assert_told(struct monitor_fixture *fixture, const char *expected)
{
	char text[2048];

	monitor_read_datagram(fixture, text, sizeof text);
	assert_string_equal(text, expected);
}

void assert_survives(struct monitor_fixture *fixture, const char *scenario)
{
	monitor_start(fixture, scenario);
	assert_told(fixture, "READY=1\nSTATUS=again");
}

int64_t monitor_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
