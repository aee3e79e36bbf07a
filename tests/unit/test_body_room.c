/* What bodies take while they come in, and what they cannot take from others. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/body_room.h"

#define MB INT64_C(1000000)

static void test_room_is_taken_and_given_back(void **state)
{
    struct body_rooms rooms = {0};
    struct body_hold one = {0}, other = {0};
    (void)state;
    assert_int_equal(body_room_hold(&rooms, BODY_TRUSTED, &one, 60 * MB, 0), 0);
    assert_int_equal(body_room_hold(&rooms, BODY_TRUSTED, &other, 10 * MB, 0), -EAGAIN);
    assert_int_equal(other.memory, 0);
    assert_int_equal(body_room_hold(&rooms, BODY_TRUSTED, &one, 0, 60 * MB), 0); /* it went to a file */
    assert_int_equal(body_room_hold(&rooms, BODY_TRUSTED, &other, 10 * MB, 0), 0);
    body_room_release(&rooms, BODY_TRUSTED, &one);
    body_room_release(&rooms, BODY_TRUSTED, &other);
    assert_int_equal(rooms.of[BODY_TRUSTED].memory, 0);
    assert_int_equal(rooms.of[BODY_TRUSTED].file, 0);
}

static void test_nobody_takes_the_room_of_others(void **state)
{
    struct body_rooms rooms = {0};
    struct body_hold one = {0}, other = {0}, login = {0};
    (void)state;
    while (body_room_hold(&rooms, BODY_ANYBODY, &one, one.memory + MB / 10, one.file) == 0)
        ;
    while (body_room_hold(&rooms, BODY_LOGIN, &login, login.memory + 8192, 0) == 0)
        ;
    assert_true(login.memory <= 1 << 20);
    assert_int_equal(body_room_hold(&rooms, BODY_LOGIN, &login, login.memory, 1), -EAGAIN); /* never in files */
    assert_int_equal(body_room_hold(&rooms, BODY_TRUSTED, &other, 60 * MB, 1000 * MB), 0);
}

static void test_one_body_may_be_larger_than_all_the_room(void **state)
{
    struct body_rooms rooms = {0};
    struct body_hold one = {0}, other = {0};
    (void)state;
    for (int gb = 1; gb < 6; gb++)
        assert_int_equal(body_room_hold(&rooms, BODY_TRUSTED, &one, 0, gb * 1000 * MB), 0);
    assert_int_equal(body_room_hold(&rooms, BODY_TRUSTED, &other, 0, MB), -EAGAIN);
    body_room_release(&rooms, BODY_TRUSTED, &one);
    assert_int_equal(body_room_hold(&rooms, BODY_TRUSTED, &other, 0, 3000 * MB), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room_is_taken_and_given_back),
        cmocka_unit_test(test_nobody_takes_the_room_of_others),
        cmocka_unit_test(test_one_body_may_be_larger_than_all_the_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
