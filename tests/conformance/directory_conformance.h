// The half of the FileSystem suite that is about user trees: an open Directory and names in it.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "tests/conformance/file_system_fixture.h"

namespace exclave::conformance {

// --- user trees: names and opening -----------------------------------------------------------------------------------

TEST_P(FileSystemConformance, directory_refuses_wrong_names_everywhere) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "file", "");
    for (const std::string& name : wrong_names()) {
      EXPECT_TRUE(failed_with(d->stat(name), Code::InvalidInput)) << '"' << name << '"';
      EXPECT_TRUE(failed_with(d->open_directory(name), Code::InvalidInput)) << '"' << name << '"';
      EXPECT_TRUE(failed_with(d->open_file(name), Code::InvalidInput)) << '"' << name << '"';
      EXPECT_TRUE(failed_with(d->read_link(name), Code::InvalidInput)) << '"' << name << '"';
      EXPECT_TRUE(failed_with(d->xattrs(name), Code::InvalidInput)) << '"' << name << '"';
      EXPECT_TRUE(failed_with(d->create_directory(name, 0700), Code::InvalidInput)) << '"' << name << '"';
      EXPECT_TRUE(failed_with(d->create_file(name, 0600), Code::InvalidInput)) << '"' << name << '"';
      EXPECT_TRUE(failed_with(d->open_for_write(name), Code::InvalidInput)) << '"' << name << '"';
      EXPECT_TRUE(failed_with(d->create_symlink(name, "x"), Code::InvalidInput)) << '"' << name << '"';
      EXPECT_TRUE(failed_with(d->create_link(name, *d, "file"), Code::InvalidInput)) << '"' << name << '"';
      EXPECT_TRUE(failed_with(d->create_link("new", *d, name), Code::InvalidInput)) << '"' << name << '"';
      EXPECT_TRUE(failed_with(d->create_node(name, env::FileType::Fifo, 0600, 0, 0), Code::InvalidInput));
      EXPECT_TRUE(failed_with(d->set_attributes(name, {}), Code::InvalidInput)) << '"' << name << '"';
      EXPECT_TRUE(failed_with(d->remove(name), Code::InvalidInput)) << '"' << name << '"';
    }
    EXPECT_EQ(names_of(*d), std::set<std::string>{"file"});
  });
}

TEST_P(FileSystemConformance, names_are_bytes_of_up_to_255) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    const std::set<std::string> names = {
        "\xff\xfe", "a\nb", " ", "-rf", "...", "\xc3\xa4", "\x61\xcc\x88", std::string(255, '\xe9')};
    for (const std::string& name : names) put(*d, name, name);
    EXPECT_EQ(names_of(*d), names);
    for (const std::string& name : names) {
      EXPECT_EQ(content_of(*d, name), to_bytes(name));
      EXPECT_TRUE(is_ok(d->xattrs(name)));
    }
    EXPECT_TRUE(failed_with(d->create_file(std::string(256, 'x'), 0600), Code::InvalidInput));
    EXPECT_TRUE(failed_with(d->stat(std::string(256, 'x')), Code::InvalidInput));
  });
}

TEST_P(FileSystemConformance, directory_never_follows_a_symlink) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "file", "content");
    must(d->create_directory("sub", 0700));
    must(d->create_symlink("to_file", "file"));
    must(d->create_symlink("to_sub", "sub"));
    EXPECT_TRUE(failed_with(d->open_file("to_file"), Code::InvalidInput));
    EXPECT_TRUE(failed_with(d->open_for_write("to_file"), Code::InvalidInput));
    EXPECT_TRUE(failed_with(d->open_directory("to_sub"), Code::InvalidInput));
    EXPECT_TRUE(failed_with(d->create_file("to_file", 0600), Code::AlreadyExists));
    EXPECT_EQ(must(d->stat("to_file")).type, env::FileType::Symlink);
    EXPECT_EQ(must(d->read_link("to_file")), "file");
    EXPECT_EQ(content_of(*d, "file"), to_bytes("content"));
  });
}

TEST_P(FileSystemConformance, open_file_takes_regular_files_only_and_never_blocks_on_a_fifo) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    must(d->create_node("fifo", env::FileType::Fifo, 0600, 0, 0));
    must(d->create_node("socket", env::FileType::Socket, 0600, 0, 0));
    must(d->create_directory("sub", 0700));
    for (const char* name : {"fifo", "socket", "sub"}) {
      EXPECT_TRUE(failed_with(d->open_file(name), Code::InvalidInput)) << name;
      EXPECT_TRUE(failed_with(d->open_for_write(name), Code::InvalidInput)) << name;
      EXPECT_TRUE(failed_with(env.files.open_file(root + "/" + name), Code::InvalidInput)) << name;
    }
    EXPECT_TRUE(failed_with(d->open_file("missing"), Code::NotFound));
    EXPECT_TRUE(failed_with(d->open_for_write("missing"), Code::NotFound));
    EXPECT_EQ(must(d->stat("fifo")).type, env::FileType::Fifo);
    EXPECT_EQ(must(d->stat("socket")).type, env::FileType::Socket);
  });
}

TEST_P(FileSystemConformance, open_directory_takes_directories_only) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "file", "");
    must(d->create_node("fifo", env::FileType::Fifo, 0600, 0, 0));
    EXPECT_TRUE(failed_with(d->open_directory("file"), Code::InvalidInput));
    EXPECT_TRUE(failed_with(d->open_directory("fifo"), Code::InvalidInput));
    EXPECT_TRUE(failed_with(d->open_directory("missing"), Code::NotFound));
  });
}

TEST_P(FileSystemConformance, read_link_gives_the_target_byte_for_byte) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    const std::string long_target(4000, '\xf1');
    must(d->create_symlink("long", long_target));
    must(d->create_symlink("odd", "../\xff//x\n"));
    EXPECT_EQ(must(d->read_link("long")), long_target);
    EXPECT_EQ(must(d->stat("long")).size, long_target.size());
    EXPECT_EQ(must(d->read_link("odd")), "../\xff//x\n");
    put(*d, "file", "");
    EXPECT_TRUE(failed_with(d->read_link("file"), Code::InvalidInput));
    EXPECT_TRUE(failed_with(d->read_link("missing"), Code::NotFound));
    EXPECT_TRUE(failed_with(d->create_symlink("odd", "x"), Code::AlreadyExists));
    EXPECT_TRUE(failed_with(d->create_symlink("empty", ""), Code::InvalidInput));
    EXPECT_TRUE(failed_with(d->create_symlink("nul", std::string("a\0b", 3)), Code::InvalidInput));
  });
}

// --- user trees: content ---------------------------------------------------------------------------------------------

TEST_P(FileSystemConformance, create_file_is_for_new_names_and_open_for_write_for_existing_ones) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "f", "hello");
    EXPECT_TRUE(failed_with(d->create_file("f", 0600), Code::AlreadyExists));
    {
      auto file = must(d->open_for_write("f"));
      EXPECT_TRUE(is_ok(file->write_at(0, as_bytes("J"))));
      EXPECT_TRUE(is_ok(file->append(as_bytes(" world"))));
      EXPECT_TRUE(is_ok(file->sync()));
    }
    EXPECT_EQ(content_of(*d, "f"), to_bytes("Jello world"));
  });
}

TEST_P(FileSystemConformance, append_goes_on_after_the_furthest_byte_written) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    auto file = must(d->create_file("f", 0600));
    must(file->write_at(3, as_bytes("def")));
    must(file->append(as_bytes("ghi")));
    must(file->write_at(0, as_bytes("abc")));
    must(file->append(as_bytes("j")));
    must(file->resize(4));
    must(file->append(as_bytes("-")));
    EXPECT_EQ(content_of(*d, "f"), to_bytes("abcd-"));
  });
}

TEST_P(FileSystemConformance, write_at_durably_is_a_write_whatever_its_size_and_place) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    constexpr std::size_t kBlock = env::WritableFile::kBlockBytes;
    auto file = must(d->create_file("f", 0600));
    Bytes expected(40 * kBlock);
    must(file->append(expected));
    must(file->sync());
    Byte next = 1;
    const auto write = [&](std::uint64_t offset, std::size_t size) {
      const Bytes data(size, next++);
      if (offset + size > expected.size()) expected.resize(offset + size);
      std::copy(data.begin(), data.end(), expected.begin() + static_cast<std::ptrdiff_t>(offset));
      must(file->write_at_durably(offset, data));
      EXPECT_EQ(content_of(*d, "f"), expected) << offset << ", " << size;
    };
    write(0, kBlock);
    write(5 * kBlock, 3 * kBlock);
    write(kBlock, 30 * kBlock);  // much at once
    write(7, 100);
    write(2 * kBlock, kBlock - 1);
    must(file->write_at(3 * kBlock, Bytes(kBlock, 200)));  // beside what is only in memory so far
    std::fill_n(expected.begin() + 3 * kBlock, kBlock, Byte{200});
    write(4 * kBlock, kBlock);
    write(39 * kBlock, 4 * kBlock);  // beyond the end
    must(file->append(as_bytes("x")));
    expected.push_back('x');
    EXPECT_EQ(content_of(*d, "f"), expected);
    must(file->write_at_durably(0, {}));
    EXPECT_EQ(content_of(*d, "f"), expected);
  });
}

TEST_P(FileSystemConformance, read_at_returns_less_only_at_the_end) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    Bytes content(3'000'000);
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<Byte>(i * 31 + i / 251);
    must(must(d->create_file("f", 0600))->append(content));
    auto file = must(d->open_file("f"));
    Bytes out(content.size() + 5);
    EXPECT_EQ(must(file->read_at(0, out)), content.size());
    EXPECT_TRUE(equal(ByteView(out).first(content.size()), content));
    EXPECT_EQ(must(file->read_at(content.size() - 2, MutableByteView(out).first(10))), 2U);
    EXPECT_EQ(must(file->read_at(1'234'567, MutableByteView(out).first(10))), 10U);
    EXPECT_TRUE(equal(ByteView(out).first(10), ByteView(content).subspan(1'234'567, 10)));
    EXPECT_EQ(must(file->read_at(content.size(), out)), 0U);
    EXPECT_EQ(must(file->read_at(content.size() + 1'000'000, out)), 0U);
    EXPECT_EQ(must(file->read_at(5, MutableByteView(out).first(0))), 0U);
    file->will_need();
    file->sequential();
  });
}

TEST_P(FileSystemConformance, open_file_sees_what_is_written_after_it_was_opened) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    auto writer = must(d->create_file("f", 0600));
    must(writer->append(as_bytes("12345")));
    auto reader = must(d->open_file("f"));
    EXPECT_EQ(must(reader->info()).size, 5U);
    must(writer->append(as_bytes("678")));
    EXPECT_EQ(must(reader->info()).size, 8U);
    Bytes out(100);
    EXPECT_EQ(must(reader->read_at(0, out)), 8U);
    must(writer->append(as_bytes("9")));
    EXPECT_EQ(must(reader->info()).size, 9U) << "a caller asks after reading whether the file changed meanwhile";
  });
}

TEST_P(FileSystemConformance, open_file_outlives_its_name) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "f", "still here");
    auto reader = must(d->open_file("f"));
    must(d->remove("f"));
    EXPECT_EQ(content_of(*reader), to_bytes("still here"));
  });
}

TEST_P(FileSystemConformance, next_data_finds_all_data_and_no_more_than_needed) {
  const bool holes = abilities().holes;
  run([holes](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    constexpr std::uint64_t kMiB = 1 << 20;
    {
      auto file = must(d->create_file("sparse", 0600));
      must(file->write_at(0, as_bytes("head")));
      must(file->write_at(4 * kMiB, as_bytes("middle")));
      must(file->resize(16 * kMiB));
      must(file->sync());
    }
    auto file = must(d->open_file("sparse"));
    std::uint64_t covered = 0;
    std::uint64_t offset = 0;
    bool head = false;
    bool middle = false;
    while (true) {
      const auto extent = must(file->next_data(offset));
      if (!extent.has_value()) break;
      ASSERT_GE(extent->begin, offset);
      ASSERT_GT(extent->end, extent->begin);
      ASSERT_LE(extent->end, 16 * kMiB);
      covered += extent->end - extent->begin;
      head = head || extent->begin == 0;
      middle = middle || (extent->begin <= 4 * kMiB && extent->end >= 4 * kMiB + 6);
      offset = extent->end;
    }
    EXPECT_TRUE(head);
    EXPECT_TRUE(middle);
    if (holes) {
      EXPECT_LT(covered, kMiB);
    }
    Bytes out(10);
    EXPECT_EQ(must(file->read_at(10 * kMiB, out)), 10U);
    EXPECT_EQ(out, Bytes(10));
    EXPECT_FALSE(must(file->next_data(16 * kMiB)).has_value());
    EXPECT_FALSE(must(file->next_data(17 * kMiB)).has_value());
  });
}

TEST_P(FileSystemConformance, next_data_inside_data_starts_at_the_offset) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "f", std::string(10'000, 'x'));
    put(*d, "empty", "");
    auto file = must(d->open_file("f"));
    const auto extent = must(file->next_data(5'000));
    ASSERT_TRUE(extent.has_value());
    EXPECT_EQ(extent->begin, 5'000U);
    EXPECT_EQ(extent->end, 10'000U);
    EXPECT_FALSE(must(must(d->open_file("empty"))->next_data(0)).has_value());
  });
}

// --- user trees: directories, links, nodes ---------------------------------------------------------------------------

TEST_P(FileSystemConformance, entries_lists_20000_names_and_can_be_asked_again) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    std::set<std::string> expected = {"source"};
    put(*d, "source", "");
    for (int i = 0; i < 20'000; ++i) {
      const std::string name = "entry-" + std::to_string(i);
      must(d->create_link(name, *d, "source"));
      expected.insert(name);
    }
    EXPECT_EQ(names_of(*d), expected);
    EXPECT_EQ(must(d->entries()).size(), expected.size());
    must(d->remove("entry-7"));
    expected.erase("entry-7");
    EXPECT_EQ(names_of(*d), expected);
  });
}

TEST_P(FileSystemConformance, entry_types_are_right_where_they_are_told) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "file", "");
    must(d->create_directory("directory", 0700));
    must(d->create_symlink("symlink", "file"));
    must(d->create_node("fifo", env::FileType::Fifo, 0600, 0, 0));
    must(d->create_node("socket", env::FileType::Socket, 0600, 0, 0));
    const auto entries = must(d->entries());
    EXPECT_EQ(entries.size(), 5U);
    for (const auto& entry : entries) {
      const env::FileInfo info = must(d->stat(entry.name));
      EXPECT_EQ(entry.type.value_or(info.type), info.type) << entry.name;
    }
  });
}

TEST_P(FileSystemConformance, entries_may_be_read_by_two_threads_at_once) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    for (int i = 0; i < 500; ++i) put(*d, std::to_string(i), "");
    const auto count_often = [&] {
      for (int i = 0; i < 20; ++i) {
        const auto entries = d->entries();
        ASSERT_TRUE(is_ok(entries));
        ASSERT_EQ(entries.value().size(), 500U);
      }
    };
    auto first = must(env.threads.start("count-1", count_often));
    auto second = must(env.threads.start("count-2", count_often));
    first->join();
    second->join();
  });
}

TEST_P(FileSystemConformance, directory_stays_itself_when_its_name_goes) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    must(d->create_directory("sub", 0750));
    auto sub = must(d->open_directory("sub"));
    EXPECT_EQ(must(sub->info()).type, env::FileType::Directory);
    EXPECT_EQ(must(sub->info()).inode, must(d->stat("sub")).inode);
    EXPECT_EQ(must(sub->info()).mode, 0750U);
    must(d->remove("sub"));
    EXPECT_TRUE(failed_with(sub->create_file("x", 0600), Code::NotFound));
  });
}

TEST_P(FileSystemConformance, create_directory_refuses_a_taken_name) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "file", "");
    must(d->create_directory("sub", 0700));
    EXPECT_TRUE(failed_with(d->create_directory("file", 0700), Code::AlreadyExists));
    EXPECT_TRUE(failed_with(d->create_directory("sub", 0700), Code::AlreadyExists));
  });
}

TEST_P(FileSystemConformance, hard_link_is_a_second_name_of_the_same_file) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    must(d->create_directory("sub", 0700));
    auto sub = must(d->open_directory("sub"));
    put(*d, "first", "content");
    EXPECT_EQ(must(d->stat("first")).link_count, 1U);
    must(sub->create_link("second", *d, "first"));
    const env::FileInfo first = must(d->stat("first"));
    const env::FileInfo second = must(sub->stat("second"));
    EXPECT_EQ(first.inode, second.inode);
    EXPECT_EQ(first.device, second.device);
    EXPECT_EQ(second.link_count, 2U);
    must(d->remove("first"));
    EXPECT_EQ(content_of(*sub, "second"), to_bytes("content"));
    EXPECT_EQ(must(sub->stat("second")).link_count, 1U);
  });
}

TEST_P(FileSystemConformance, hard_link_of_a_symlink_is_the_symlink) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "file", "");
    must(d->create_symlink("link", "file"));
    must(d->create_link("link2", *d, "link"));
    EXPECT_EQ(must(d->stat("link2")).type, env::FileType::Symlink);
    EXPECT_EQ(must(d->stat("link2")).inode, must(d->stat("link")).inode);
  });
}

TEST_P(FileSystemConformance, hard_link_refuses_a_taken_name_a_missing_source_and_a_directory) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "a", "");
    put(*d, "b", "");
    must(d->create_directory("sub", 0700));
    EXPECT_TRUE(failed_with(d->create_link("b", *d, "a"), Code::AlreadyExists));
    EXPECT_TRUE(failed_with(d->create_link("c", *d, "missing"), Code::NotFound));
    EXPECT_TRUE(failed_with(d->create_link("c", *d, "sub"), Code::Denied));
  });
}

TEST_P(FileSystemConformance, rename_replaces_a_file_or_a_link_and_never_a_directory) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "a", "new");
    put(*d, "b", "old");
    must(d->rename("a", "b"));
    EXPECT_TRUE(failed_with(d->stat("a"), Code::NotFound));
    EXPECT_EQ(must(d->stat("b")).size, 3U);
    must(d->create_symlink("link", "b"));
    must(d->rename("b", "link"));
    EXPECT_EQ(must(d->stat("link")).type, env::FileType::Regular) << "what the link pointed to is not touched";
    must(d->create_directory("sub", 0700));
    EXPECT_TRUE(failed_with(d->rename("link", "sub"), Code::InvalidInput));
    EXPECT_TRUE(failed_with(d->rename("missing", "x"), Code::NotFound));
    EXPECT_TRUE(failed_with(d->rename("link", "../x"), Code::InvalidInput));
    EXPECT_TRUE(failed_with(d->rename("..", "x"), Code::InvalidInput));
  });
}

TEST_P(FileSystemConformance, what_is_made_belongs_to_the_own_user) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "a", "");
    EXPECT_EQ(must(d->stat("a")).user, env.files.own_user());
  });
}

TEST_P(FileSystemConformance, remove_takes_files_links_and_empty_directories) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "file", "");
    must(d->create_symlink("dangling", "nowhere"));
    must(d->create_node("fifo", env::FileType::Fifo, 0600, 0, 0));
    must(d->create_directory("empty", 0700));
    must(d->create_directory("full", 0700));
    put(*must(d->open_directory("full")), "x", "");
    for (const char* name : {"file", "dangling", "fifo", "empty"}) EXPECT_TRUE(is_ok(d->remove(name))) << name;
    EXPECT_TRUE(failed_with(d->remove("full"), Code::InvalidInput));
    EXPECT_TRUE(failed_with(d->remove("missing"), Code::NotFound));
    EXPECT_EQ(names_of(*d), std::set<std::string>{"full"});
  });
}

TEST_P(FileSystemConformance, a_locked_directory_is_locked_until_it_is_dropped) {
  run([](env::Env env, const std::string& root) {
    auto first = must(env.files.open_directory(root));
    auto second = must(env.files.open_directory(root));
    must(first->create_directory("below", 0700));
    EXPECT_TRUE(is_ok(first->lock()));
    EXPECT_TRUE(is_ok(first->lock())) << "it is ours";
    EXPECT_TRUE(failed_with(second->lock(), Code::Conflict));
    EXPECT_TRUE(is_ok(must(second->open_directory("below"))->lock()));
    first.reset();
    EXPECT_TRUE(is_ok(second->lock()));
  });
}

TEST_P(FileSystemConformance, create_node_makes_special_files_only) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    for (const auto type : {env::FileType::Regular, env::FileType::Directory, env::FileType::Symlink}) {
      EXPECT_TRUE(failed_with(d->create_node("x", type, 0600, 0, 0), Code::InvalidInput));
    }
    must(d->create_node("fifo", env::FileType::Fifo, 0600, 0, 0));
    EXPECT_TRUE(failed_with(d->create_node("fifo", env::FileType::Fifo, 0600, 0, 0), Code::AlreadyExists));
    EXPECT_EQ(must(d->stat("fifo")).mode, 0600U);
  });
}

TEST_P(FileSystemConformance, device_nodes_keep_their_numbers) {
  if (!abilities().device_nodes) GTEST_SKIP() << "this world may not make device nodes";
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    must(d->create_node("null", env::FileType::CharDevice, 0600, 1, 3));
    must(d->create_node("disk", env::FileType::BlockDevice, 0600, 300, 70'000));
    const env::FileInfo null = must(d->stat("null"));
    EXPECT_EQ(null.type, env::FileType::CharDevice);
    EXPECT_EQ(null.device_major, 1U);
    EXPECT_EQ(null.device_minor, 3U);
    const env::FileInfo disk = must(d->stat("disk"));
    EXPECT_EQ(disk.type, env::FileType::BlockDevice);
    EXPECT_EQ(disk.device_major, 300U);
    EXPECT_EQ(disk.device_minor, 70'000U);
    EXPECT_TRUE(failed_with(d->open_file("null"), Code::InvalidInput));
  });
}

// --- user trees: which file it is ------------------------------------------------------------------------------------

TEST_P(FileSystemConformance, what_is_pinned_is_looked_at_and_changed_whoever_gets_its_name) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    put(*d, "f", "content");
    const auto pinned = must(d->pin("f"));
    must(d->rename("f", "elsewhere"));
    put(*d, "f", "another");
    const std::uint32_t mode_of_another = must(d->stat("f")).mode;
    env::FileAttributes attributes;
    attributes.mode = 0400;
    must(pinned->set_attributes(attributes));
    EXPECT_EQ(must(pinned->info()).inode, must(d->stat("elsewhere")).inode);
    EXPECT_EQ(must(d->stat("elsewhere")).mode, 0400U);
    EXPECT_EQ(must(d->stat("f")).mode, mode_of_another);
    must(d->create_symlink("link", "f"));
    EXPECT_EQ(must(must(d->pin("link"))->info()).type, env::FileType::Symlink);
    EXPECT_TRUE(failed_with(d->pin("missing"), Code::NotFound));
    EXPECT_TRUE(failed_with(d->pin(".."), Code::InvalidInput));
  });
}

TEST_P(FileSystemConformance, the_time_at_which_a_directory_was_made_stays) {
  run([](env::Env env, const std::string& root) {
    auto d = must(env.files.open_directory(root));
    must(d->create_directory("sub", 0700));
    const auto sub = must(d->open_directory("sub"));
    const auto created = must(sub->created());
    put(*sub, "f", "content");
    env::FileAttributes attributes;
    attributes.modified = env::Timestamp::from_seconds(1);
    must(sub->set_own_attributes(attributes));
    EXPECT_EQ(must(sub->created()), created);
    must(d->rename("sub", "moved"));
    EXPECT_EQ(must(must(d->open_directory("moved"))->created()), created);
  });
}

}  // namespace exclave::conformance
