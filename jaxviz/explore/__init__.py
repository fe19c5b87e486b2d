"""The explorer: a network's maps, patches, filters and answers, live in a browser.

The views are in `views`, what they share in `session`; `server` hands them out, `lanes` does the
work in threads, and `static` is the page. No technique is written here.
"""
