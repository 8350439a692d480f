/* SPDX-License-Identifier: ISC */
#include "dev_agent.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dev_guard.h"
#include "output.h"

/* What a guard leaves behind that was killed: its agent's last moments. */
#define REMOVE_TRIES    200
#define REMOVE_PAUSE_MS 10

static void find_swtpm(char path[PATH_MAX])
{
	const char *at = getenv("PATH");

	for (at = at != NULL ? at : "/usr/bin:/bin"; *at != '\0'; at += *at == ':') {
		size_t size = strcspn(at, ":");
		int written = snprintf(path, PATH_MAX, "%.*s/swtpm", (int)size, at);

		if (*at == '/' && written < PATH_MAX && access(path, X_OK) == 0)
			return;
		at += size;
	}
	path[0] = '\0';
}

int dev_agent_begin(const struct cli *cli, struct dev_agent *out_agent)
{
	struct dev_agent agent = {.link = -1};
	int pair[2], status = dev_directory_choose(cli, &agent.directory);

	if (status != CLI_DONE)
		return status;
	(void)snprintf(agent.socket, sizeof agent.socket, "%s/mortise.sock", agent.directory.path);
	find_swtpm(agent.swtpm);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return output_fail(cli, MORTISE_IO, "cannot make a socket: %s", strerror(errno));
	agent.link = pair[0];
	agent.guard = fork();
	if (agent.guard == 0)
		dev_guard_run(&agent, pair[1]);
	(void)close(pair[1]);
	if (agent.guard < 0) {
		(void)close(pair[0]);
		return output_fail(cli, MORTISE_IO, "cannot make a process: %s", strerror(errno));
	}
	*out_agent = agent;
	return CLI_DONE;
}

int dev_agent_await(const struct cli *cli, const struct dev_agent *agent)
{
	struct dev_guard_report report;
	ssize_t size;

	do
		size = recv(agent->link, &report, sizeof report, 0);
	while (size < 0 && errno == EINTR);
	if (size != sizeof report)
		return output_fail(cli, MORTISE_IO, "the agent was ended while it started");
	if (report.is_ready)
		return CLI_DONE;
	report.text[sizeof report.text - 1] = '\0';
	return output_fail(cli, MORTISE_IO, "the agent cannot start: %s", report.text);
}

bool dev_agent_stop(struct dev_agent *agent)
{
	int status = 0;

	(void)close(agent->link);
	while (waitpid(agent->guard, &status, 0) < 0 && errno == EINTR)
		;
	for (int i = 0; !dev_directory_remove(&agent->directory) && i < REMOVE_TRIES; i++)
		(void)poll(NULL, 0, REMOVE_PAUSE_MS);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
