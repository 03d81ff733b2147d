/* Loaded into a server before its libraries, this puts its wall clock ahead by as many seconds as the file that
 * REDISTEST_CLOCK names holds, eight bytes in the machine's order, or back. Intervals, which Redis measures by the
 * monotonic clock, stay what they are. It allocates nothing: allocators ask for the time before they are ready. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t ahead(void)
{
	static const volatile int64_t *seconds;
	if (!seconds) {
		const char *name = getenv("REDISTEST_CLOCK");
		int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
		if (fd < 0)
			return 0;
		void *p = mmap(NULL, sizeof *seconds, PROT_READ, MAP_SHARED, fd, 0);
		close(fd);
		if (p == MAP_FAILED)
			return 0;
		seconds = p;
	}
	return *seconds;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int failed = syscall(SYS_clock_gettime, id, t);
	if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += ahead();
	return failed;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	struct timespec now;
	(void)zone; /* obsolete: nobody asks for it */
	if (clock_gettime(CLOCK_REALTIME, &now))
		return -1;
	t->tv_sec = now.tv_sec;
	t->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *t)
{
	struct timespec now;
	if (clock_gettime(CLOCK_REALTIME, &now))
		return -1;
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}
