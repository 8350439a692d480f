/* SPDX-License-Identifier: ISC */
/*
 * fake_clock: a library to be loaded before others into each process of an agent. It moves the
 * wall clock and the clock since boot, and says whether the kernel calls its own synchronised, as
 * the file "clock" beside it says. That is mapped while the process may still open it, and a test
 * writes into it at any time. All else (timers, deadlines) goes by the real clocks.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define IN_PLACE_OF_LIBC __attribute__((visibility("default")))

struct fake {
	int64_t wall_ns, boot_ns; /* added to what there is */
	int64_t synchronised;     /* 0, 1; or 2: adjtimex(2) is refused */
};

static volatile const struct fake *fake;

__attribute__((constructor)) static void open_it(void)
{
	char path[4096];
	Dl_info self;
	int fd = -1;

	if (dladdr(&fake, &self) != 0) {
		const char *slash = strrchr(self.dli_fname, '/');

		(void)snprintf(path, sizeof path, "%.*s/clock", (int)(slash - self.dli_fname),
			self.dli_fname);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		abort();
	fake = mmap(NULL, sizeof *fake, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (fake == MAP_FAILED)
		abort();
}

static void shift(struct timespec *time, int64_t by_ns)
{
	int64_t ns = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + by_ns;

	time->tv_sec = (time_t)(ns / 1000000000);
	time->tv_nsec = (long)(ns % 1000000000);
}

IN_PLACE_OF_LIBC int clock_gettime(clockid_t clock, struct timespec *out_time)
{
	int status = (int)syscall(SYS_clock_gettime, clock, out_time);

	if (status == 0 && clock == CLOCK_REALTIME)
		shift(out_time, fake->wall_ns);
	if (status == 0 && clock == CLOCK_BOOTTIME)
		shift(out_time, fake->boot_ns);
	return status;
}

IN_PLACE_OF_LIBC time_t time(time_t *out_time)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out_time != NULL)
		*out_time = now.tv_sec;
	return now.tv_sec;
}

IN_PLACE_OF_LIBC int adjtimex(struct timex *state)
{
	if (fake->synchronised == 2)
		return -1;
	memset(state, 0, sizeof *state);
	state->status = fake->synchronised ? 0 : STA_UNSYNC;
	return fake->synchronised ? TIME_OK : TIME_ERROR;
}
