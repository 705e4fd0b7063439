/* What Swift's Glibc module leaves out of Linux: epoll. Only MoonbusDispatch's owner thread imports this. */
#include <sys/epoll.h>
