-- The first words on a connection. A backend's malloc (glibc's) gives the top of its heap back to the kernel whenever
-- 128 KiB of it are free, until it has freed one larger block: before that, each small image costs three brk(2) and a
-- quarter more time. See mallopt(3), M_MMAP_THRESHOLD, about the dynamic threshold.
-- A backend that we gave up while the network was cut does not hear of it, and would keep its place for two hours:
-- let it look sooner whether we are still there.
SELECT length(repeat('x', 1048576)), set_config('tcp_keepalives_idle', '20', false),
       set_config('tcp_keepalives_interval', '10', false), set_config('tcp_keepalives_count', '3', false)
