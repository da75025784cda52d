"""The columns of KuaiRand's CSV files, as its README describes them."""

from plait.data.importers.lines import Field, Layout
from plait.schema import Meaning

FLAGS = {
    "is_click": "click",
    "long_view": "long_view",
    "is_like": "like",
    "is_follow": "follow",
    "is_comment": "comment",
    "is_forward": "forward",
    "is_profile_enter": "profile_enter",
    "is_hate": "hate",
}
"""Binary feedback in the log and the action that it becomes."""

DURATIONS = {
    "play_time_ms": "play",
    "profile_stay_time": "profile_stay",
    "comment_stay_time": "comment_stay",
}
"""Times spent and the action that a positive one becomes."""

LOG = Layout(
    (
        Field("user_id", "integer", required=True),
        Field("video_id", "integer", required=True),
        Field("time_ms", "integer", required=True),
        *(Field(name, "integer", required=True) for name in FLAGS),
        *(Field(name, "number", required=True) for name in DURATIONS),
        Field("is_rand", "integer", required=True),
        Field("tab", "integer", required=True),
    ),
    ",",
    header=True,
)

_USER_CATEGORIES = (
    "user_active_degree",
    "is_lowactive_period",
    "is_live_streamer",
    "is_video_author",
    "follow_user_num_range",
    "fans_user_num_range",
    "friend_user_num_range",
    "register_days_range",
    *(f"onehot_feat{number}" for number in range(18)),
)
_USER_NUMBERS = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")
USER_COLUMNS = {
    **dict.fromkeys(_USER_CATEGORIES, Meaning.CATEGORY),
    **dict.fromkeys(_USER_NUMBERS, Meaning.NUMBER),
}
USERS = Layout(
    (
        Field("user_id", "integer", required=True),
        *(Field(name) for name in _USER_CATEGORIES),
        *(Field(name, "number") for name in _USER_NUMBERS),
    ),
    ",",
    header=True,
    quoted=True,
)

VIDEO_COLUMNS = {
    "author_id": Meaning.CATEGORY,
    "video_type": Meaning.CATEGORY,
    "upload_type": Meaning.CATEGORY,
    "music_id": Meaning.CATEGORY,
    "music_type": Meaning.CATEGORY,
    "video_duration": Meaning.NUMBER,
    "server_width": Meaning.NUMBER,
    "server_height": Meaning.NUMBER,
    "upload_dt": Meaning.IGNORE,
    "visible_status": Meaning.IGNORE,
    "tag": Meaning.SEQUENCE,
}
VIDEOS = Layout(
    (
        Field("video_id", "integer", required=True),
        *(
            Field(name, "number" if meaning is Meaning.NUMBER else "integer" if name.endswith("_id") else "text")
            for name, meaning in VIDEO_COLUMNS.items()
        ),
    ),
    ",",
    header=True,
    quoted=True,
)

STATISTICS = Layout(
    (
        Field("video_id", "integer", required=True),
        *(
            Field(name, "number")
            for name in (
                "counts",
                "show_cnt",
                "show_user_num",
                "play_cnt",
                "play_user_num",
                "play_duration",
                "complete_play_cnt",
                "complete_play_user_num",
                "valid_play_cnt",
                "valid_play_user_num",
                "long_time_play_cnt",
                "long_time_play_user_num",
                "short_time_play_cnt",
                "short_time_play_user_num",
                "play_progress",
                "comment_stay_duration",
                "like_cnt",
                "like_user_num",
                "click_like_cnt",
                "double_click_cnt",
                "cancel_like_cnt",
                "cancel_like_user_num",
                "comment_cnt",
                "comment_user_num",
                "direct_comment_cnt",
                "reply_comment_cnt",
                "delete_comment_cnt",
                "delete_comment_user_num",
                "comment_like_cnt",
                "comment_like_user_num",
                "follow_cnt",
                "follow_user_num",
                "cancel_follow_cnt",
                "cancel_follow_user_num",
                "share_cnt",
                "share_user_num",
                "download_cnt",
                "download_user_num",
                "report_cnt",
                "report_user_num",
                "reduce_similar_cnt",
                "reduce_similar_user_num",
                "collect_cnt",
                "collect_user_num",
                "cancel_collect_cnt",
                "cancel_collect_user_num",
                "direct_comment_user_num",
                "reply_comment_user_num",
                "share_all_cnt",
                "share_all_user_num",
                "outsite_share_all_cnt",
            )
        ),
    ),
    ",",
    header=True,
)
