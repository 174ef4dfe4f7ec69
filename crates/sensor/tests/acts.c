/* What processes do that a sensor must see: `acts ACT [ARGUMENT]…`. Compiled by the tests, statically where that works. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int connect_to(int type, int flags, const char *address, const char *port)
{
	struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(port))};
	int v6 = strchr(address, ':') != NULL;
	int fd = socket(v6 ? AF_INET6 : AF_INET, type | flags, 0);

	inet_pton(AF_INET, address, &to4.sin_addr);
	inet_pton(AF_INET6, address, &to6.sin6_addr);
	if (connect(fd, v6 ? (void *)&to6 : (void *)&to4, v6 ? sizeof(to6) : sizeof(to4)) && errno != EINPROGRESS)
		return -errno;
	return fd;
}

static void run(char *program, char **argv)
{
	execve(program, argv, environ);
	_exit(127);
}

static void *run_true(void *argument)
{
	char *argv[] = {"true", "by-thread", NULL};

	run("/bin/true", argv);
	return argument;
}

int main(int argc, char **argv)
{
	const char *act = argc > 1 ? argv[1] : "nothing";
	char *nothing[] = {NULL};
	int status;

	if (!strcmp(act, "tcp")) {
		int fd = connect_to(SOCK_STREAM, 0, argv[2], argv[3]);
		return fd < 0 ? 1 : 0;
	}
	if (!strcmp(act, "listen")) {
		/* Takes connections, and tells its port. */
		struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t length = sizeof(at);
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (bind(fd, (void *)&at, length) || listen(fd, 4096) || getsockname(fd, (void *)&at, &length))
			return 1;
		printf("%d\n", ntohs(at.sin_port));
		fflush(stdout);
		for (;;)
			close(accept(fd, NULL, NULL));
	}
	if (!strcmp(act, "calls")) {
		/* What a call to the kernel costs, and what an open does: so many of each, and nanoseconds of the processor for one. */
		long count = atol(argv[2]);
		struct timespec before, after;

		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
		for (long i = 0; i < count; i++)
			syscall(SYS_getppid);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
		printf("%.1f ", ((after.tv_sec - before.tv_sec) * 1e9 + after.tv_nsec - before.tv_nsec) / count);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
		for (long i = 0; i < count; i++)
			close(open("/usr/share/common-licenses/GPL-3", O_RDONLY));
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
		printf("%.1f\n", ((after.tv_sec - before.tv_sec) * 1e9 + after.tv_nsec - before.tv_nsec) / count);
		return 0;
	}
	if (!strcmp(act, "spawn")) {
		/* So many processes, as many at once as asked; each runs this program and connects, and tells its number. */
		int count = atoi(argv[4]), at_once = atoi(argv[5]), running = 0, failed = 0;
		long pause = argc > 6 ? atol(argv[6]) : 0;
		char number[16];
		/* Without a port they do nothing. */
		char *child[] = {argv[0], strcmp(argv[3], "0") ? "tcp" : "nothing", argv[2], argv[3], number, NULL};

		for (int i = 0; i < count; i++) {
			snprintf(number, sizeof(number), "%d", i);
			if (vfork() == 0)
				run("/proc/self/exe", child);
			if (++running >= at_once) {
				wait(&status);
				failed += status != 0;
				running--;
			}
			if (pause)
				usleep(pause);
		}
		while (wait(&status) > 0)
			failed += status != 0;
		printf("%d\n", failed);
		return failed != 0;
	}
	if (!strcmp(act, "tcp-later")) {
		/* Without waiting; how it goes is told while the process sleeps. */
		int fd = connect_to(SOCK_STREAM, SOCK_NONBLOCK, argv[2], argv[3]);
		usleep(50000);
		return fd < 0;
	}
	if (!strcmp(act, "udp")) {
		int fd = connect_to(SOCK_DGRAM, 0, argv[2], argv[3]);
		struct sockaddr_in other = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[4]))};

		inet_pton(AF_INET, argv[2], &other.sin_addr);
		/* Connected once more, then sent to a third place twice, which is told once. */
		connect(fd, (void *)&other, sizeof(other));
		other.sin_port = htons(atoi(argv[5]));
		sendto(fd, "x", 1, 0, (void *)&other, sizeof(other));
		sendto(fd, "x", 1, 0, (void *)&other, sizeof(other));
		return 0;
	}
	if (!strcmp(act, "unix")) {
		struct sockaddr_un to = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		strncpy(to.sun_path, argv[2], sizeof(to.sun_path) - 1);
		return connect(fd, (void *)&to, sizeof(to)) != 0;
	}
	if (!strcmp(act, "open")) {
		if (argc > 3 && chdir(argv[3]))
			return 1;
		return open(argv[2], O_RDONLY) < 0;
	}
	if (!strcmp(act, "write"))
		return open(argv[2], O_WRONLY | O_APPEND) < 0;
	if (!strcmp(act, "make"))
		return open(argv[2], O_WRONLY | O_CREAT, 0600) < 0;
	if (!strcmp(act, "become")) {
		if (setgid(atoi(argv[2])) || setuid(atoi(argv[2])) || !setuid(0))
			return 1;
		if (fork() == 0)
			_exit(setsid() < 0);
		wait(&status);
		return status;
	}
	if (!strcmp(act, "crowd")) {
		/* So many connections to where the first only fits: the others wait until they are killed. */
		struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t length = sizeof(at);
		int fd = socket(AF_INET, SOCK_STREAM, 0), count = atoi(argv[2]);

		if (bind(fd, (void *)&at, length) || listen(fd, 0) || getsockname(fd, (void *)&at, &length))
			return 1;
		for (int i = 0; i < count; i++) {
			if (fork() == 0) {
				alarm(1);
				connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&at, length);
				_exit(0);
			}
			usleep(20000);
		}
		while (wait(&status) > 0)
			;
		return 0;
	}
	if (!strcmp(act, "open-as-nobody")) {
		if (setgid(65534) || setuid(65534))
			return 1;
		return open(argv[2], O_RDONLY) >= 0;
	}
	if (!strcmp(act, "no-arguments"))
		run("/bin/true", nothing);
	if (!strcmp(act, "many")) {
		/* So many arguments of so many bytes. */
		int count = atoi(argv[2]), size = atoi(argv[3]);
		char **many = calloc(count + 2, sizeof(char *));

		many[0] = "true";
		for (int i = 1; i <= count; i++) {
			many[i] = malloc(size + 1);
			memset(many[i], 'a' + i % 26, size);
			many[i][size] = 0;
		}
		run("/bin/true", many);
	}
	if (!strcmp(act, "memory")) {
		char buffer[65536];
		char *child[] = {"from-memory", NULL};
		int from = open("/bin/true", O_RDONLY), to = memfd_create("hidden", 0);
		ssize_t length;

		while ((length = read(from, buffer, sizeof(buffer))) > 0)
			if (write(to, buffer, length) != length)
				return 1;
		fexecve(to, child, environ);
		return 1;
	}
	if (!strcmp(act, "thread")) {
		pthread_t thread;

		pthread_create(&thread, NULL, run_true, NULL);
		pthread_join(thread, NULL);
		return 1;
	}
	if (!strcmp(act, "vfork")) {
		char *child[] = {"true", "by-vfork", NULL};

		if (vfork() == 0)
			run("/bin/true", child);
		wait(&status);
		return status;
	}
	if (!strcmp(act, "twice")) {
		/* The middle process ends before the last runs, so that this one becomes a stranger's child. */
		char *child[] = {"true", "orphan", NULL};
		pid_t middle = fork();

		if (middle == 0) {
			if (fork() == 0) {
				usleep(50000);
				run("/bin/true", child);
			}
			_exit(3);
		}
		waitpid(middle, &status, 0);
		usleep(150000);
		return 0;
	}
	if (!strcmp(act, "namespace")) {
		char *child[] = {"true", "inside", NULL};

		if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS))
			return 1;
		if (fork() == 0)
			run("/bin/true", child);
		wait(&status);
		return status;
	}
	if (!strcmp(act, "killed")) {
		raise(SIGKILL);
	}
	if (!strcmp(act, "flood")) {
		/* Programs with many arguments, from several processes, as fast as it goes. */
		int processes = atoi(argv[2]), count = atoi(argv[3]);
		static char long_one[15000];
		char *child[] = {"true", long_one, NULL};

		memset(long_one, 'x', sizeof(long_one) - 1);
		for (int i = 0; i < processes; i++) {
			if (fork() == 0) {
				for (int j = 0; j < count; j++) {
					if (vfork() == 0)
						run(argv[4], child);
					wait(&status);
				}
				_exit(0);
			}
		}
		while (wait(&status) > 0)
			;
		return 0;
	}
	return 0;
}
