-- The first words on a connection. A backend's malloc (glibc's) gives the top of its heap back to the kernel whenever
-- 128 KiB of it are free, until it has freed one larger block: before that, each small image costs three brk(2) and a
-- quarter more time. See mallopt(3), M_MMAP_THRESHOLD, about the dynamic threshold.
SELECT length(repeat('x', 1048576))
